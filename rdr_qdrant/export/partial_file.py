"""What was encoded of a shard that is not finished: kept on the disk, window by window."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import OutputError
from rdr_qdrant.export.export_io import writing
from rdr_qdrant.export.manifest import shard_name, shard_number

UNFINISHED = ".unfinished"
MAX_HEADER_BYTES = 1024


@dataclass(frozen=True, slots=True)
class KeptWindow:
    """Rows that were encoded together.

    Attributes:
        rows: how many.
        truncated: of which only the first `max_length` tokens were encoded.
        content: digest of the shard's passages up to its last row, as `Shard.content`.
        sha256: of its bytes (hex).
        bytes: of it.
    """

    rows: int
    truncated: int
    content: str
    sha256: str
    bytes: int


class UnfinishedShard:
    """A file to which each window is added as soon as it is encoded.

    A window is a line of JSON, which has its size and SHA-256, and an Arrow stream. What a kill cut
    off, or what is damaged, ends the file there: all before it is kept.

    Args:
        folder: of the shards.
        number: of the shard.

    Attributes:
        number: of the shard.
        rows: that are in its place in the shard: taken over, or added.
        truncated: of those.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.rows = self.truncated = 0
        self._path = folder / f".{shard_name(number)}{UNFINISHED}"
        self._bytes = 0
        self._found = deque(window for window, _ in _windows(self._path))

    @classmethod
    def find_all(cls, folder: Path) -> dict[int, UnfinishedShard]:
        """What is unfinished in a folder, by number."""
        names = (path.name[1 : -len(UNFINISHED)] for path in folder.glob(f".*{UNFINISHED}"))
        numbers = [number for name in names if (number := shard_number(name)) is not None]
        return {number: cls(folder, number) for number in numbers}

    @classmethod
    def remove_all(cls, folder: Path) -> None:
        """Remove what is unfinished in a folder."""
        for path in folder.glob(f".*{UNFINISHED}"):
            with suppress(OSError):
                path.unlink()

    @property
    def kept(self) -> int:
        """Rows that are in the file."""
        return self.rows + sum(window.rows for window in self._found)

    @property
    def kept_truncated(self) -> int:
        """Of those, the ones of which only the first `max_length` tokens were encoded."""
        return self.truncated + sum(window.truncated for window in self._found)

    @property
    def expected(self) -> int | None:
        """The rows of the shard at which `take_over` is to be asked next, if there is any."""
        return self.rows + self._found[0].rows if self._found else None

    def take_over(self, content: str) -> bool:
        """Whether the next window of before has these passages; if not, it and the rest are left.

        Args:
            content: digest of the shard's passages up to the window's last row.
        """
        window = self._found.popleft()
        if window.content != content:
            self._found.clear()
            return False
        self._add(window)
        return True

    def add(self, first: int, table: Any, truncated: int, content: str) -> None:
        """Write a window behind the others.

        Args:
            first: rows of the shard before it.
            table: a `pyarrow.Table`.
            truncated: rows that were cut.
            content: as for `take_over`.

        Raises:
            OutputError: it cannot be written, or one before it was not.
        """
        if first != self.rows:
            raise OutputError(f"{self._path} has {self.rows:,} rows, not the {first:,} before.")
        payload = _to_bytes(table)
        digest = hashlib.sha256(payload).hexdigest()
        window = KeptWindow(len(table), truncated, content, digest, len(payload))
        with writing(self._path), self._path.open("ab") as file:
            file.truncate(self._bytes)  # what was cut off, or is left
            file.write(_header(window) + payload)
        self._add(window)

    def tables(self) -> Iterator[Any]:
        """All windows, each a `pyarrow.Table`.

        Raises:
            OutputError: the file is not as it was written.
        """
        rows = 0
        for window, payload in _windows(self._path):
            if rows == self.rows:
                return
            rows += window.rows
            yield _to_table(payload)
        if rows != self.rows:
            raise OutputError(
                f"{self._path} was altered meanwhile: it has {rows:,} whole rows of {self.rows:,}. "
                "Give the same command again: it goes on with those."
            )

    def remove(self) -> None:
        """Remove the file, once the shard is finished or where it is needed no more."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _add(self, window: KeptWindow) -> None:
        self.rows += window.rows
        self.truncated += window.truncated
        self._bytes += len(_header(window)) + window.bytes


def _header(window: KeptWindow) -> bytes:
    fields = {name: getattr(window, name) for name in KeptWindow.__slots__}
    return json.dumps(fields).encode() + b"\n"


def _windows(path: Path) -> Iterator[tuple[KeptWindow, bytes]]:
    """The windows of a file with their bytes, up to the first that is not whole."""
    try:
        file = path.open("rb")
    except OSError:
        return
    with file:
        while header := file.readline(MAX_HEADER_BYTES):
            try:
                window = KeptWindow(**json.loads(header))
                payload = file.read(window.bytes)
                whole = hashlib.sha256(payload).hexdigest() == window.sha256
                if not whole or _header(window) != header or window.rows < 1:
                    return
            except (OSError, ValueError, TypeError):
                return
            yield window, payload


def _to_bytes(table: Any) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _to_table(payload: bytes) -> Any:
    import pyarrow as pa

    with pa.ipc.open_stream(payload, options=pa.ipc.IpcReadOptions(use_threads=False)) as stream:
        return stream.read_all()
