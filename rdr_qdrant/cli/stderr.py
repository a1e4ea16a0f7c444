"""Messages for people, on stderr; stdout is for results."""

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


def print_message(message: str) -> None:
    """Print a message to stderr, without terminal control characters."""
    print(replace_control_characters(message), file=sys.stderr, flush=True)


@contextmanager
def rejects_reported(log: RejectLog) -> Iterator[None]:
    """On leaving, for whatever reason, print which rows were rejected."""
    try:
        yield
    finally:
        for line in log.summary():
            print_message(f"Rejected: {line}")


def replace_control_characters(text: str) -> str:
    """Replace characters that control a terminal (escapes, direction overrides) by U+FFFD."""
    return _CONTROL.sub("\ufffd", text)


def pluralize(number: int, noun: str) -> str:
    """A number and its noun, which is given in the plural: `1 passage`, `2,000 passages`."""
    return f"{number:,} {noun.removesuffix('s') if number == 1 else noun}"


def unwrap_paragraphs(text: str) -> str:
    """Put each paragraph on one line, for code that wraps it to the terminal's width."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
