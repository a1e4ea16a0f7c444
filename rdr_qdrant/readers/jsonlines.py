"""JSON Lines: one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any, NoReturn

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers.base import RowFileSource, RowSource
from rdr_qdrant.readers.file_io import MAX_LINE_BYTES, open_bytes
from rdr_qdrant.readers.rejects import Reject, RejectHandler

STDIN = "-"
"""Name of standard input as a source."""


class JSONLinesSource(RowFileSource):
    """A file of JSON Lines."""

    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield line number and object of each line."""
        with open_bytes(self.path, self.position) as stream:
            yield from read_objects(stream, self.name, reject)


class StdinSource(RowSource):
    """JSON Lines from standard input.

    Args:
        stream: its bytes.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(STDIN)
        self._stream = stream

    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield line number and object of each line."""
        try:
            yield from read_objects(self._stream, self.name, reject)
        except OSError as error:
            raise SourceError(f"Cannot read standard input: {error.strerror}.") from None


def read_objects(
    stream: IO[bytes], source: str, reject: RejectHandler
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and object of each non-blank line; pass broken lines to `reject`."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            reason = f"line longer than {MAX_LINE_BYTES:,} bytes"
            reject(Reject(source, number, reason, line[:200].decode("utf-8", "replace")))
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            reason = f"not valid UTF-8: byte {error.start + 1} of the line"
            reject(Reject(source, number, reason, line.decode("utf-8", "replace")))
            continue
        if not text:
            continue
        try:
            value = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            reason = f"not JSON: {error}" if isinstance(error, ValueError) else "nested too deep"
            reject(Reject(source, number, reason, text))
            continue
        if not isinstance(value, dict):
            reject(Reject(source, number, "not a JSON object", value))
            continue
        yield number, value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
