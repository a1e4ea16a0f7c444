"""A file of results that is there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rdr_qdrant.errors import OutputError, UsageError


def check_outputs(outputs: Sequence[Path], sources: Sequence[Path] = ()) -> None:
    """Refuse paths that cannot be written, before any work is done; nothing is written.

    Raises:
        UsageError: an output is one of the sources, or the same as another output.
        OutputError: its folder is not there or closed to us, or it is no plain file.
    """
    taken = {_resolved(path): f"{path} is read from" for path in sources}
    for path in outputs:
        if reason := taken.get(_resolved(path)):
            raise UsageError(f"{reason}: it would be overwritten. Name another file to write to.")
        taken[_resolved(path)] = f"{path} is written to twice"
        if not path.parent.is_dir():
            raise OutputError(f"Cannot write {path}: there is no folder {path.parent}. Make it.")
        if path.exists() and not path.is_file():
            raise OutputError(f"Cannot write {path}: it is there and is not a file. Name a file.")
        if not os.access(path.parent, os.W_OK):
            raise OutputError(f"Cannot write {path}: no permission to write in {path.parent}.")


@contextmanager
def replaced_when_whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` when all went well.

    Where anything went wrong it is removed, and what was at `path` stays.

    Raises:
        OutputError: it cannot be put in place.
    """
    path = path.resolve()  # of a link, what it leads to is replaced
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        with writing(path):
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_text(path: Path) -> Iterator[Callable[[str], None]]:
    """What writes text to a file that is in place only when it is whole.

    Raises:
        OutputError: it cannot be written.
    """
    with replaced_when_whole(path) as temporary:
        with writing(path):
            file = temporary.open("x", encoding="utf-8", newline="\n")

        def write(text: str) -> None:
            with writing(path):
                file.write(text)

        try:
            yield write
            with writing(path):
                file.close()
        finally:
            with suppress(OSError):
                file.close()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises `OutputError` for what the system says of a file that is being written."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from None


def _resolved(path: Path) -> tuple[int, int] | Path:
    """What is the same for two ways of naming one file, links included."""
    try:
        found = path.stat()
    except OSError:
        return path.resolve()
    return found.st_dev, found.st_ino
