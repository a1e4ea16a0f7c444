"""Files that are there whole or not at all, and whose bytes are known."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rdr_qdrant.errors import OutputError

PART = ".part"
"""How the name of a file ends that is being written."""
LOCK_FILE = ".encode.lock"
CHUNK_BYTES = 2**20


def part_of(path: Path) -> Path:
    """A new hidden name beside `path`, to write to first."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")


def put_in_place(part: Path, path: Path) -> None:
    """Give a file its name once all its bytes are on the disk."""
    with writing(path):
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_parts(folder: Path) -> None:
    """Remove what writers that were killed have left."""
    for part in folder.glob(f".*{PART}"):
        with suppress(OSError):
            part.unlink()


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises `OutputError` for what the system says of a file that is being written."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}: {error.strerror or error}. What was written before is kept."
        ) from None


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Inside, no other process writes to this folder; the system lets go when this one ends.

    Raises:
        OutputError: another does.
    """
    with writing(folder):
        lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"Another process is encoding into {folder}. Wait for it, or name another folder."
            ) from None
        yield
    finally:
        os.close(lock)
