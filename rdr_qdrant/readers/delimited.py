"""Delimited text: DPR's TSV and CSV, with a header and csv quoting."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers.io import Position, open_text
from rdr_qdrant.readers.line_reader import Lines, reader_of
from rdr_qdrant.readers.row_parser import Reject, RejectHandler

DELIMITERS = {".tsv": "\t", ".csv": ","}


def read_header(path: Path, delimiter: str) -> list[str]:
    """Names of the columns.

    Raises:
        SourceError: there is no column `text`, or a name stands twice.
    """
    with open_text(path) as stream:
        try:
            header: list[str] = next(reader_of(Lines(stream), delimiter), [])
        except csv.Error as error:
            raise SourceError(f"The header of {path} cannot be read: {error}.") from None
    names = [name.strip() for name in header]
    if "text" not in names:
        raise SourceError(
            f"{path} has no column 'text' in its header (found: {_listed(names)}). "
            "Its first line must name the columns, as in DPR's files: id, text, title."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(f"{path} names a column twice in its header: {', '.join(twice)}.")
    return names


def read_rows(
    path: Path,
    name: str,
    delimiter: str,
    header: list[str],
    position: Position,
    reject: RejectHandler,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and columns of every row after the header; broken rows go to `reject`."""
    with open_text(path, position) as stream:
        lines = Lines(stream)
        reader = reader_of(lines, delimiter)
        if next(reader, None) is None:
            raise SourceError(f"{path} was emptied while it was being read.")
        while True:
            lines.start_row()
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                first = lines.give_back()
                why = f'{error}; a field that has a " is put between two, and each inside doubled'
                reject(Reject(name, lines.number, f"broken quoting: {why}", first))
                continue
            if not fields:
                continue
            if len(fields) != len(header):
                reason = f"has {len(fields)} fields, the header has {len(header)}"
                reject(Reject(name, lines.number, reason, fields))
                continue
            yield lines.number, dict(zip(header, fields, strict=True))


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:8])
    return shown + (", ..." if len(names) > 8 else "") if names else "nothing"
