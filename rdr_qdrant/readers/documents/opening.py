"""Opening a document: a plain file of a size that can be handled, and nothing else."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from rdr_qdrant.readers.documents.document import MAX_FILE_BYTES, DocumentError


@contextmanager
def open_document(path: Path, *, follow: bool) -> Iterator[BinaryIO]:
    """The bytes of a file.

    Args:
        path: where it is.
        follow: whether it may be a symbolic link.

    Raises:
        DocumentError: it is not there, is no plain file, is empty or too large, or may not be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise DocumentError("not a plain file")
            if found.st_size == 0:
                raise DocumentError("empty (0 bytes)")
            if found.st_size > MAX_FILE_BYTES:
                raise DocumentError(f"larger than {MAX_FILE_BYTES:,} bytes: {found.st_size:,}")
            yield stream
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror or error}") from None


def digest_of(stream: BinaryIO) -> str:
    """SHA-256 (hex) of all bytes; the stream stands at its beginning afterwards."""
    digest = hashlib.file_digest(cast("io.BufferedReader", stream), "sha256").hexdigest()
    stream.seek(0)
    return digest
