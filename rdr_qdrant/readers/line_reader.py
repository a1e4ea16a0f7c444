"""Lines for the csv module, arranged so that a broken row does not take other rows with it."""

from __future__ import annotations

import csv
from collections import deque
from typing import IO, Any

MAX_FIELD_CHARACTERS = 16 * 2**20
"""Longest field (the csv module's own limit of 131,072 is too short for whole documents)."""


class LineReader:
    """An iterator over the lines of a stream that can go back within the current row.

    An unclosed quote makes everything after it part of its row. `rewind_to_second_line` lets the
    lines after the first be read again, as often as keeps the total work linear.

    Attributes:
        number: lines read so far.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.number = 0
        self._stream = stream
        self._row: list[str] = []
        self._pending: deque[str] = deque()
        self._row_characters = self._characters_read = self._characters_reread = 0

    def __iter__(self) -> LineReader:
        return self

    def __next__(self) -> str:
        line = self._pending.popleft() if self._pending else self._read_line()
        if not line:
            raise StopIteration
        self.number += 1
        self._row_characters += len(line)
        self._row.append(line)
        if self._row_characters > MAX_FIELD_CHARACTERS:
            raise csv.Error(f"a row of more than {MAX_FIELD_CHARACTERS:,} characters")
        return line

    def _read_line(self) -> str:
        """Read a line, keeping only the beginning of one that is too long."""
        line = rest = self._stream.readline(MAX_FIELD_CHARACTERS + 1)
        while len(rest) > MAX_FIELD_CHARACTERS and not rest.endswith(("\n", "\r")):
            rest = self._stream.readline(MAX_FIELD_CHARACTERS + 1)
        self._characters_read += len(line)
        return line

    def start_row(self) -> None:
        """Begin a new row with the next line."""
        self._row.clear()
        self._row_characters = 0

    def rewind_to_second_line(self) -> str:
        """Go back to the second line of the current row and return the first."""
        if self._characters_reread <= 4 * self._characters_read + MAX_FIELD_CHARACTERS:
            lines = self._row[1:]
            self._pending.extendleft(reversed(lines))
            self._characters_reread += sum(map(len, lines))
            self.number -= len(lines)
        return self._row[0].rstrip("\r\n") if self._row else ""


def csv_reader(lines: LineReader, delimiter: str, *, strict: bool = True) -> Any:
    """Return a `csv.reader` that accepts fields of up to `MAX_FIELD_CHARACTERS`."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD_CHARACTERS))
    return csv.reader(lines, delimiter=delimiter, strict=strict)
