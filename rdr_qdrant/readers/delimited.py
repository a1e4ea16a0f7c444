"""TSV and CSV with a header row, quoted as the csv module (and DPR) quotes."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers.base import RowFileSource
from rdr_qdrant.readers.file_io import format_suffix, open_text
from rdr_qdrant.readers.line_reader import LineReader, csv_reader
from rdr_qdrant.readers.rejects import Reject, RejectHandler

DELIMITERS = {".tsv": "\t", ".csv": ","}


class DelimitedSource(RowFileSource):
    """A TSV or CSV file.

    Raises:
        SourceError: the header has no column `text`, or names a column twice.
    """

    def __init__(self, path: Path, size: int, name: str) -> None:
        super().__init__(path, size, name)
        self._delimiter = DELIMITERS[format_suffix(path)]
        self._header = _read_header(path, self._delimiter)

    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield line number and columns of each row after the header."""
        with open_text(self.path, self.position) as stream:
            lines = LineReader(stream)
            reader = csv_reader(lines, self._delimiter)
            if next(reader, None) is None:
                raise SourceError(f"{self.path} was emptied while it was being read.")
            while True:
                lines.start_row()
                try:
                    fields = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    first_line = lines.rewind_to_second_line()
                    reason = (
                        f'broken quoting: {error}; enclose a field that contains " in quotes '
                        "and double each quote inside it"
                    )
                    reject(Reject(self.name, lines.number, reason, first_line))
                    continue
                if not fields:
                    continue
                if len(fields) != len(self._header):
                    reason = f"has {len(fields)} fields, the header has {len(self._header)}"
                    reject(Reject(self.name, lines.number, reason, fields))
                    continue
                yield lines.number, dict(zip(self._header, fields, strict=True))


def _read_header(path: Path, delimiter: str) -> list[str]:
    with open_text(path) as stream:
        try:
            header: list[str] = next(csv_reader(LineReader(stream), delimiter), [])
        except csv.Error as error:
            raise SourceError(f"The header of {path} cannot be read: {error}.") from None
    names = [name.strip() for name in header]
    if "text" not in names:
        raise SourceError(
            f"{path} has no column 'text' in its header (found: {_join_names(names)}). "
            "Its first line must name the columns, as in DPR's files: id, text, title."
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SourceError(
            f"{path} names a column twice in its header: {', '.join(repeated)}. Rename one."
        )
    return names


def _join_names(names: list[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:8])
    return shown + (", ..." if len(names) > 8 else "") if names else "nothing"
