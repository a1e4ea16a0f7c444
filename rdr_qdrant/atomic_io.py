"""Replacing a file as a whole: a reader finds the old content or the new, never a part of it."""

from __future__ import annotations

import io
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal, overload

from rdr_qdrant.errors import OutputError

TEMPORARY_SUFFIX = ".part"


@overload
def open_atomically(path: Path, mode: Literal["w"] = "w") -> AbstractContextManager[IO[str]]: ...
@overload
def open_atomically(path: Path, mode: Literal["wb"]) -> AbstractContextManager[IO[bytes]]: ...
@contextmanager
def open_atomically(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`, which replaces `path` when the block ends well.

    The content is on the disk before it takes its place. If the block raises, the temporary file
    is removed and `path` stays as it was. A symbolic link keeps pointing to the file it names, and
    a file that is replaced keeps its permissions. Text is UTF-8 with `\\n` at the ends of lines.

    Raises:
        OutputError: `path` cannot be written or is not a regular file (also from the file's
            `write`, where the disk is full).
    """
    part = temporary_path(path)
    with translate_write_errors(path):
        _permissions(path)
        raw = _OutputFile(part, path)
    try:
        file: IO[Any] = io.BufferedWriter(raw)
        if mode == "w":
            file = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        try:
            yield file
            with translate_write_errors(path):
                file.close()
        finally:
            with suppress(OSError, OutputError):  # closing writes what is buffered, or fails again
                file.close()
        replace_atomically(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def replace_atomically(part: Path, path: Path) -> None:
    """Put the finished file `part` (a `temporary_path` of `path`) in the place of `path`.

    For files that a library writes; see `open_atomically` for links and permissions. `part` is
    left where it is if this fails.

    Raises:
        OutputError: `path` cannot be written or is not a regular file.
    """
    path = path.resolve()
    with translate_write_errors(path):
        with part.open("rb+") as file:
            if (permissions := _permissions(path)) is not None:
                os.fchmod(file.fileno(), permissions)
            os.fsync(file.fileno())
        part.replace(path)
    with suppress(OSError):  # some network file systems cannot sync a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def temporary_path(path: Path) -> Path:
    """Return a new hidden name beside `path` (beside its target, if it is a symbolic link)."""
    path = path.resolve()
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files that killed writers left in `folder`."""
    for part in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        with suppress(OSError):
            part.unlink()


@contextmanager
def translate_write_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into an `OutputError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from None


def _permissions(path: Path) -> int | None:
    """Return the permissions of the file that is to be replaced, `None` if there is none."""
    if not path.exists():
        return None
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):  # root could replace a device by a file
        raise OutputError(f"Cannot write {path}: it is not a regular file. Name another file.")
    return stat.S_IMODE(mode)


class _OutputFile(io.FileIO):
    """A new file whose write errors name the file that it is to replace.

    So the block of `open_atomically` may read other files: their errors keep their own meaning.
    """

    def __init__(self, part: Path, path: Path) -> None:
        super().__init__(part, "xb")
        self._target = path

    def write(self, data: Any, /) -> int:
        with translate_write_errors(self._target):
            return super().write(data) or 0
