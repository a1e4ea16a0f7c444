"""TSV and CSV with a header row, quoted as the csv module (and DPR) quotes, or not at all."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers.base import RowFileSource
from rdr_qdrant.readers.file_io import FileState, format_suffix, open_text
from rdr_qdrant.readers.line_reader import LineReader, Quoting, csv_reader
from rdr_qdrant.readers.rejects import Reject, RejectHandler
from rdr_qdrant.readers.row_parser import join_names

DELIMITERS = {".tsv": "\t", ".csv": ","}
MERGED_ROWS = "a quoted field holds what looks like rows of this file"
"""Reason for rejecting a row that a stray quote made out of several."""
QUOTING_HINT = "(if quotes are plain characters in this file, read it with --quoting none)"

_LINE_END = re.compile(r"\r\n|\r|\n")


class DelimitedSource(RowFileSource):
    """A TSV or CSV file.

    Args:
        path: the file.
        state: its state before anything is read of it.
        name: see `PassageSource`.
        quoting: see `Quoting`.

    Raises:
        SourceError: the header has no column `text`, or names a column twice.
    """

    def __init__(self, path: Path, state: FileState, name: str, quoting: Quoting = "csv") -> None:
        super().__init__(path, state, name)
        self.quoting = quoting
        self._delimiter = DELIMITERS[format_suffix(path)]
        self._header = _read_header(path, self._delimiter, quoting)

    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield line number and columns of each row after the header."""
        with open_text(self.path, self.position) as stream:
            lines = LineReader(stream)
            reader = csv_reader(lines, self._delimiter, self.quoting)
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
                        f"and double each quote inside it {QUOTING_HINT}"
                    )
                    reject(Reject(self.name, lines.number, reason, first_line))
                    continue
                if not fields:
                    continue
                if len(fields) != len(self._header):
                    reason = f"has {len(fields)} fields, the header has {len(self._header)}"
                    reject(Reject(self.name, lines.number, reason, fields))
                    continue
                if lines.row_lines > 1 and (count := self._count_merged_lines(fields)):
                    reason = f"{MERGED_ROWS} {QUOTING_HINT}: {count:,} of {lines.row_lines:,} lines"
                    reject(Reject(self.name, lines.number, reason, fields))
                    continue
                yield lines.number, dict(zip(self._header, fields, strict=True))

    def _count_merged_lines(self, fields: list[str]) -> int:
        """Count the lines within quoted fields that look like (parts of) other rows.

        A stray quote in column k merges rows: the field holds the rest of the first row from
        column k on, whole rows, and the last row up to column k. So the number of delimiters of
        each line is known, and the ids on them resemble the id of this row.
        """
        last = len(self._header) - 1
        id_column = self._header.index("id") if "id" in self._header else None
        merged = 0
        for column, field in enumerate(fields):
            lines = [line.split(self._delimiter) for line in _LINE_END.split(field)]
            if len(lines) == 1:
                continue
            first_columns = [column] + [0] * (len(lines) - 1)
            last_columns = [last] * (len(lines) - 1) + [column]
            fits = [
                len(pieces) == end - begin + 1
                for pieces, begin, end in zip(lines, first_columns, last_columns, strict=True)
            ]
            if id_column is None:
                if self._delimiter == "\t" and last > 0 and all(fits):
                    merged += len(lines) - 1
                continue
            if id_column == column and not fits[0]:
                continue
            row_id = lines[0][0] if id_column == column else fields[id_column]
            for number, (pieces, begin) in enumerate(zip(lines, first_columns, strict=True)):
                position = id_column - begin
                holds_row_id = number == 0 and id_column == column
                if fits[number] and 0 <= position < len(pieces) and not holds_row_id:
                    merged += self._resembles_id(pieces[position], row_id)
        return merged

    def _resembles_id(self, text: str, row_id: str) -> bool:
        """Return whether a text looks like an id near that of a row.

        Commas are common in text, tabs are not, so that CSV needs a number that follows or digits
        within the same letters.
        """
        if not text or len(text.split()) != 1 or text.isdecimal() != row_id.isdecimal():
            return False
        if self._delimiter == "\t":
            return True
        if text.isdecimal():
            return abs(int(text) - int(row_id)) == 1
        shape = re.sub(r"\d+", "0", text)
        return "0" in shape and shape == re.sub(r"\d+", "0", row_id)


def _read_header(path: Path, delimiter: str, quoting: Quoting) -> list[str]:
    with open_text(path) as stream:
        try:
            header: list[str] = next(csv_reader(LineReader(stream), delimiter, quoting), [])
        except csv.Error as error:
            raise SourceError(f"The header of {path} cannot be read: {error}.") from None
    names = [name.strip() for name in header]
    if "text" not in names:
        separator = "tabs" if delimiter == "\t" else "commas"
        raise SourceError(
            f"{path} has no column 'text' in its header (found: {join_names(names)}). Its first "
            f"line must name the columns, separated by {separator}, such as: id, text, title."
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SourceError(
            f"{path} names a column twice in its header: {', '.join(repeated)}. Rename one."
        )
    return names
