"""Open plain and gzip files, and track how far they have been read."""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from rdr_qdrant.errors import SourceError

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # `Path` makes one slash of two
MAX_LINE_BYTES = 64 * 2**20
"""Longest line that is read into memory; a longer one is rejected."""


def format_suffix(path: Path) -> str:
    """Return the lower-case extension that names the format, ignoring a final `.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


@dataclass(frozen=True, slots=True)
class FileState:
    """Identity, size and modification time of a file, to detect changes.

    Attributes:
        device: id of its file system.
        inode: id within it.
        size: bytes.
        modified_ns: modification time, nanoseconds since the epoch.
    """

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def from_stat(cls, status: os.stat_result) -> FileState:
        """Take the state from a result of `os.stat`."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def change_to(self, path: Path) -> str | None:
        """Return how the file at a path differs, in words, or `None` if it does not."""
        try:
            now = FileState.from_stat(path.stat())
        except FileNotFoundError:
            return "was deleted"
        except OSError as error:
            return f"can no longer be read: {error.strerror}"
        return self.difference(now)

    def difference(self, now: FileState) -> str | None:
        """Return how a later state differs, in words, or `None` if it does not."""
        if (self.device, self.inode) != (now.device, now.inode):
            return "was replaced by another file"
        if self.size != now.size:
            return f"had {self.size:,} bytes and now has {now.size:,}"
        if self.modified_ns != now.modified_ns:
            modified = datetime.fromtimestamp(now.modified_ns / 1e9).isoformat(" ", "seconds")
            return f"was modified at {modified}"
        return None


def check_readable(path: Path) -> FileState:
    """Return the state of a file that can be read.

    Raises:
        SourceError: the file does not exist, is not a file, is empty or may not be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{path} is not a file. Name a file of passages.")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        if _ADDRESS.match(str(path)):  # not shown: it may hold a password or a signature
            raise SourceError(
                "A file is named by an address (SCHEME://...), but only files of this machine are "
                "read. Download it first; rdr-qdrant ingest - reads JSON Lines from a pipe."
            ) from None
        raise SourceError(f"No such file: {path}. Check the path.") from None
    except OSError as error:
        raise SourceError(f"Cannot read {path}: {error.strerror}.") from None
    if status.st_size == 0:
        raise SourceError(f"{path} is empty (0 bytes): there is nothing to read.")
    return FileState.from_stat(status)


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


_BYTE_ORDER_MARKS = {  # UTF-32 first: its mark begins with that of UTF-16
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def split_byte_order_mark(data: bytes) -> tuple[bytes, str | None]:
    """Return the byte order mark at the beginning, and the encoding that it tells, if any."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return mark, encoding
    return b"", None


class _Utf8Transcoder(io.RawIOBase):
    """Bytes of another encoding as UTF-8; a lone surrogate stays one, which is invalid UTF-8."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._read = getattr(stream, "read1", stream.read)
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b"more"
        while data and not self._pending:
            data = self._read(len(buffer))
            try:
                text = self._decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                message = f"not valid {self._encoding.upper()}: {error.reason}"
                raise OSError(errno.EILSEQ, message) from None
            self._pending = text.encode("utf-8", "surrogatepass")
        part, self._pending = self._pending[: len(buffer)], self._pending[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def as_utf8(stream: IO[bytes]) -> IO[bytes]:
    """Return a stream of UTF-8 for one of UTF-16 or UTF-32 with a byte order mark.

    Any other stream is returned as it is, with its byte order mark if it has one.
    """
    peek = getattr(stream, "peek", None)
    mark, encoding = split_byte_order_mark(peek(4) if peek else b"")
    if encoding in (None, "utf-8"):
        return stream
    stream.read(len(mark))
    return io.BufferedReader(_Utf8Transcoder(stream, encoding))


@contextmanager
def open_text(path: Path, position: ReadPosition | None = None) -> Iterator[IO[str]]:
    """Open a file as text; line ends are kept.

    The text is UTF-8, or UTF-16 or UTF-32 with a byte order mark. Invalid UTF-8 becomes lone
    surrogates (PEP 383), so that only its row has to be rejected.

    Raises:
        SourceError: see `open_bytes`; invalid UTF-16 or UTF-32.
    """
    with open_bytes(path, position) as stream:
        text = io.TextIOWrapper(
            cast("BinaryIO", as_utf8(stream)),
            encoding="utf-8-sig",
            errors="surrogateescape",
            newline="",
        )
        try:
            yield text
        finally:
            text.detach()
