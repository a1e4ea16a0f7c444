"""Messages for people, on stderr; stdout is for results."""

from __future__ import annotations

import inspect
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdr_qdrant.readers import RejectLog

CONTROL_CHARACTERS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1, but for tab and newline
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # direction marks, overrides and isolates
    r"\u2028\u2029\ufff9-\ufffb"  # separators of lines and paragraphs, annotations
    r"\ud800-\udfff]"  # surrogates, which cannot be printed
)

_is_unwritable = threading.Event()


def print_message(message: str) -> None:
    """Print a message of one line to stderr, without terminal control characters.

    A stderr that cannot be written (a full disk) does not end the command.
    """
    try:
        print(to_single_line(message), file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        _is_unwritable.set()


def discard_stderr_if_unwritable() -> None:
    """Send the rest to the null device if a message could not be written.

    What a library writes while the interpreter exits would change the exit status otherwise.
    """
    if _is_unwritable.is_set():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


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
    return CONTROL_CHARACTERS.sub("\ufffd", text)


def to_single_line(text: str) -> str:
    """Replace control characters, and line breaks and tabs by spaces."""
    return replace_control_characters(text).replace("\n", " ").replace("\t", " ")


def pluralize(number: int, noun: str) -> str:
    """A number and its noun, which is given in the plural: `1 passage`, `2,000 passages`."""
    return f"{number:,} {noun.removesuffix('s') if number == 1 else noun}"


def unwrap_paragraphs(text: str) -> str:
    """Put each paragraph on one line, for code that wraps it to the terminal's width."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
