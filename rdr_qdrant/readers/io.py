"""Opening files, compressed or not, and knowing how far one has read."""

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
"""The longest line that is read into memory; a longer one is no passage."""


def suffix_of(path: Path) -> str:
    """The extension that tells the format, lower case, without `.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def check_readable(path: Path) -> int:
    """Size of a file in bytes.

    Raises:
        SourceError: it is not there, is not a file, is empty, or may not be read.
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
    """Whether a folder is there."""
    try:
        return path.is_dir()
    except OSError:
        return False


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one file that is there."""
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


class Position:
    """How many bytes of the file on disk (compressed, where it is) have been read."""

    def __init__(self) -> None:
        self._raw: BinaryIO | None = None
        self._done = 0

    def watch(self, raw: BinaryIO) -> None:
        """Follow this open file from now on."""
        self._raw = raw

    def leave(self) -> None:
        """The file is about to be closed: keep its last position."""
        self._done = self.bytes_read
        self._raw = None

    def reached(self, done: int) -> None:
        """So many bytes were read by somebody else."""
        self._done = done

    @property
    def bytes_read(self) -> int:
        return self._raw.tell() if self._raw is not None else self._done


@contextmanager
def open_bytes(path: Path, position: Position | None = None) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed where it ends in `.gz`.

    Raises:
        SourceError: on leaving, where the file turned out truncated or damaged.
    """
    position = position or Position()
    try:
        with path.open("rb") as raw:
            position.watch(raw)
            try:
                if path.name.lower().endswith(".gz"):
                    with gzip.open(raw) as stream:
                        yield cast("IO[bytes]", stream)
                else:
                    yield raw
            finally:
                position.leave()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{path} is truncated or damaged ({error}). Fetch it again.") from None
    except OSError as error:
        raise SourceError(f"Cannot read {path}: {error.strerror or error}.") from None


@contextmanager
def open_text(path: Path, position: Position | None = None) -> Iterator[IO[str]]:
    """The text of a file as UTF-8, with or without a byte order mark, line ends kept.

    Bytes that are not UTF-8 become lone surrogates (PEP 383): the row that holds them can be
    refused, and the reading goes on.
    """
    with open_bytes(path, position) as stream:
        text = io.TextIOWrapper(
            cast("BinaryIO", stream), encoding="utf-8-sig", errors="surrogateescape", newline=""
        )
        try:
            yield text
        finally:
            text.detach()
