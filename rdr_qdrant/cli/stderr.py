"""What goes to people, on stderr; stdout is for results."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdr_qdrant.readers import RejectLog

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def say(message: str) -> None:
    """One message on stderr."""
    print(printable(message), file=sys.stderr, flush=True)


@contextmanager
def saying_rejects(log: RejectLog) -> Iterator[None]:
    """However the reading ends, tell which rows were set aside."""
    try:
        yield
    finally:
        for line in log.summary():
            say(f"Set aside: {line}")


def printable(text: str) -> str:
    """Text without characters that command a terminal (escapes, overrides of direction)."""
    return _CONTROL.sub("\ufffd", text)


def counted(number: int, noun: str) -> str:
    """A number with its noun, given in the plural: `1 passage`, `2,000 passages`."""
    return f"{number:,} {noun.removesuffix('s') if number == 1 else noun}"


def unwrapped(text: str) -> str:
    """Paragraphs on one line each, for whoever wraps them to the terminal."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
