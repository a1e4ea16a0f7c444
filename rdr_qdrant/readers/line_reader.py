"""Lines for the csv module, such that one broken row costs no other."""

from __future__ import annotations

import csv
from collections import deque
from typing import IO, Any

MAX_FIELD_CHARACTERS = 16 * 2**20
"""Longest field (the csv module's own limit of 131,072 is too short for whole documents)."""


class Lines:
    """The lines of a stream, the last row's kept: a broken row costs its first line, no other.

    A quote that is never closed makes all that follows part of its row. `give_back` hands the
    lines after the first out again, as often as leaves the whole linear in the stream's length.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.number = 0
        self._stream = stream
        self._row: list[str] = []
        self._waiting: deque[str] = deque()
        self._characters = self._read = self._given_back = 0

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else self._next_line()
        if not line:
            raise StopIteration
        self.number += 1
        self._characters += len(line)
        self._row.append(line)
        if self._characters > MAX_FIELD_CHARACTERS:
            raise csv.Error(f"a row of more than {MAX_FIELD_CHARACTERS:,} characters")
        return line

    def _next_line(self) -> str:
        """A line, or of one that is too long its beginning."""
        line = rest = self._stream.readline(MAX_FIELD_CHARACTERS + 1)
        while len(rest) > MAX_FIELD_CHARACTERS and not rest.endswith(("\n", "\r")):
            rest = self._stream.readline(MAX_FIELD_CHARACTERS + 1)
        self._read += len(line)
        return line

    def start_row(self) -> None:
        """What comes next belongs to a new row."""
        self._row.clear()
        self._characters = 0

    def give_back(self) -> str:
        """Hand out all lines of this row but the first once more; returns the first."""
        if self._given_back <= 4 * self._read + MAX_FIELD_CHARACTERS:
            again = self._row[1:]
            self._waiting.extendleft(reversed(again))
            self._given_back += sum(map(len, again))
            self.number -= len(again)
        return self._row[0].rstrip("\r\n") if self._row else ""


def reader_of(lines: Lines, delimiter: str, *, strict: bool = True) -> Any:
    """A csv reader that takes long fields."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD_CHARACTERS))
    return csv.reader(lines, delimiter=delimiter, strict=strict)
