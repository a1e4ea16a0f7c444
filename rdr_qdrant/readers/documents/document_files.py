"""Document files on disk: list a folder, open a file safely, hash it."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from rdr_qdrant.readers.documents.document import DocumentError
from rdr_qdrant.readers.documents.formats import document_format

MAX_FILE_BYTES = 256 * 2**20
"""Largest file that is converted."""
MAX_SUFFIX_CHARACTERS = 16
"""Longest extension; a longer one is taken as part of the name."""


@dataclass(frozen=True, slots=True)
class FolderListing:
    """Contents of a folder and its subfolders, without hidden files and folders.

    Attributes:
        files: documents as path (relative, with slashes) and size in bytes, sorted by path.
        unreadable: error by folder (relative, `.` for the folder itself) that cannot be listed.
        others: files that are not read, counted by extension, symbolic links among them.
    """

    files: list[tuple[str, int]] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)


def list_folder(folder: Path) -> FolderListing:
    """List a folder and its subfolders without following symbolic links."""
    listing = FolderListing()
    pending = [""]
    while pending:
        subfolder = pending.pop()
        try:
            with os.scandir(folder / subfolder) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        _add_entry(entry, f"{subfolder}{entry.name}", listing, pending)
        except OSError as error:
            listing.unreadable[subfolder.rstrip("/") or "."] = str(error.strerror or error)
    listing.files.sort(key=lambda file: PurePosixPath(file[0]).parts)
    return listing


def _add_entry(
    entry: os.DirEntry[str], path: str, listing: FolderListing, pending: list[str]
) -> None:
    if entry.is_symlink():
        listing.others["symbolic link"] += 1
    elif entry.is_dir(follow_symlinks=False):
        pending.append(f"{path}/")
    elif not entry.is_file(follow_symlinks=False):
        listing.others["special file"] += 1
    elif document_format(entry.name):
        listing.files.append((path, entry.stat(follow_symlinks=False).st_size))
    else:
        listing.others[_suffix(entry.name)] += 1


def _suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower().encode("utf-8", "replace").decode("utf-8")
    return suffix if 1 < len(suffix) <= MAX_SUFFIX_CHARACTERS else "no extension"


@contextmanager
def open_document(path: Path, *, follow_symlinks: bool) -> Iterator[BinaryIO]:
    """Open a regular file of acceptable size as bytes.

    Args:
        path: the file.
        follow_symlinks: accept a symbolic link.

    Raises:
        DocumentError: the file does not exist, is not a regular file, is empty, is too large, or
            may not be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not follow_symlinks:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DocumentError("not a regular file")
            if status.st_size == 0:
                raise DocumentError("empty (0 bytes)")
            if status.st_size > MAX_FILE_BYTES:
                raise DocumentError(f"larger than {MAX_FILE_BYTES:,} bytes: {status.st_size:,}")
            yield stream
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror or error}") from None


def sha256_of(stream: BinaryIO) -> str:
    """Return the SHA-256 (hex) of all bytes and rewind the stream."""
    digest = hashlib.file_digest(cast("io.BufferedReader", stream), "sha256").hexdigest()
    stream.seek(0)
    return digest
