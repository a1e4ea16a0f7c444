"""Open plain and gzip files, and track how far they have been read."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from rdr_qdrant.errors import SourceError

MAX_LINE_BYTES = 64 * 2**20
"""Longest line that is read into memory; a longer one is rejected."""


def format_suffix(path: Path) -> str:
    """Return the lower-case extension that names the format, ignoring a final `.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def check_readable(path: Path) -> int:
    """Return the size of a file in bytes.

    Raises:
        SourceError: the file does not exist, is not a file, is empty or may not be read.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise SourceError(f"{path} is not a file. Name a file of passages.")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise SourceError(f"No such file: {path}. Check the path.") from None
    except OSError as error:
        raise SourceError(f"Cannot read {path}: {error.strerror}.") from None
    if size == 0:
        raise SourceError(f"{path} is empty (0 bytes): there is nothing to read.")
    return size


def is_folder(path: Path) -> bool:
    """Return whether the path is an existing folder."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_same_file(one: str | Path, other: str | Path) -> bool:
    """Return whether two paths lead to the same existing file."""
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


class ReadPosition:
    """Bytes of a file read so far, as they lie on disk (compressed, if they are)."""

    def __init__(self) -> None:
        self._stream: BinaryIO | None = None
        self._bytes_read = 0

    def attach(self, stream: BinaryIO) -> None:
        """Follow the position of an open file."""
        self._stream = stream

    def detach(self) -> None:
        """Keep the position of the file, which is about to be closed."""
        self._bytes_read = self.bytes_read
        self._stream = None

    def set_bytes_read(self, count: int) -> None:
        """Set the position to that of another process."""
        self._bytes_read = count

    @property
    def bytes_read(self) -> int:
        """Bytes read so far."""
        return self._bytes_read if self._stream is None else self._stream.tell()


@contextmanager
def open_bytes(path: Path, position: ReadPosition | None = None) -> Iterator[IO[bytes]]:
    """Open a file as bytes, decompressed if its name ends in `.gz`.

    Args:
        path: the file.
        position: follows how far it is read.

    Raises:
        SourceError: the file cannot be opened, or (on leaving) is truncated or damaged.
    """
    position = position or ReadPosition()
    try:
        with path.open("rb") as raw:
            position.attach(raw)
            try:
                if path.name.lower().endswith(".gz"):
                    with gzip.open(raw) as stream:
                        yield cast("IO[bytes]", stream)
                else:
                    yield raw
            finally:
                position.detach()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(
            f"{path} is truncated or damaged ({error}). Download or copy it again."
        ) from None
    except OSError as error:
        raise SourceError(f"Cannot read {path}: {error.strerror or error}.") from None


@contextmanager
def open_text(path: Path, position: ReadPosition | None = None) -> Iterator[IO[str]]:
    """Open a file as UTF-8 text, with or without a byte order mark; line ends are kept.

    Invalid bytes become lone surrogates (PEP 383), so that only their row has to be rejected.
    """
    with open_bytes(path, position) as stream:
        text = io.TextIOWrapper(
            cast("BinaryIO", stream), encoding="utf-8-sig", errors="surrogateescape", newline=""
        )
        try:
            yield text
        finally:
            text.detach()
