"""JSON Lines: one object per line."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from typing import IO, Any, NoReturn

import orjson

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers.base import RowFileSource, RowSource
from rdr_qdrant.readers.file_io import MAX_LINE_BYTES, FileState, as_utf8, open_bytes
from rdr_qdrant.readers.rejects import Reject, RejectHandler

STDIN = "-"
"""Name of standard input as a source."""

_EXACTLY_READ = {str, int, bool, type(None)}


class JSONLinesSource(RowFileSource):
    """A file of JSON Lines."""

    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield line number and object of each line."""
        with open_bytes(self.path, self.position) as stream:
            yield from read_objects(as_utf8(stream), self.name, reject)


class StdinSource(RowSource):
    """JSON Lines from standard input.

    Args:
        stream: its bytes.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(STDIN)
        self._stream = stream
        self._state = _redirected_file_state(stream)

    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield line number and object of each line."""
        try:
            yield from read_objects(as_utf8(self._stream), self.name, reject)
        except OSError as error:
            raise SourceError(f"Cannot read standard input: {error.strerror or error}.") from None

    def changed_while_read(self) -> str | None:
        """Return how a file that standard input was redirected from changed, or `None`."""
        state = _redirected_file_state(self._stream)
        change = self._state.difference(state) if self._state and state else None
        return (
            f"The file on standard input changed while it was read: it {change}" if change else None
        )


def _redirected_file_state(stream: IO[bytes]) -> FileState | None:
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no file, or closed
        return None
    return FileState.from_stat(status) if stat.S_ISREG(status.st_mode) else None


def read_objects(
    stream: IO[bytes], source: str, reject: RejectHandler
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and object of each non-blank line; pass broken lines to `reject`."""
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    number = 0
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            reason = f"line longer than {MAX_LINE_BYTES:,} bytes"
            reject(Reject(source, number, reason, line[:200].decode("utf-8", "replace")))
            continue
        if row := _flat_object(line):
            yield number, row
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            reason = f"not valid UTF-8: byte {error.start + 1} of the line; save the file as UTF-8"
            reject(Reject(source, number, reason, line.decode("utf-8", "replace")))
            continue
        if not text:
            continue
        try:
            value = decoder.decode(text)
        except (ValueError, RecursionError) as error:
            reason = f"not JSON: {error}" if isinstance(error, ValueError) else "nested too deep"
            reject(Reject(source, number, reason, text))
            continue
        if not isinstance(value, dict):
            reject(Reject(source, number, "not a JSON object", value))
            continue
        yield number, value


def _flat_object(line: bytes) -> dict[str, Any] | None:
    """Return the object on a line if orjson is sure to read it as the json module does, or `None`.

    That is most lines, in a fifth of the time. But orjson makes floats of integers beyond 64 bits,
    so where there are floats, or values that may hold some, the json module has to look.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if isinstance(value, dict) and _EXACTLY_READ.issuperset(map(type, value.values())):
        return value
    return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
