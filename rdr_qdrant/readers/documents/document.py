"""A document as its converter leaves it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_FILE_BYTES = 256 * 2**20
"""The largest file that is converted."""
MAX_CHARACTERS = 32 * 2**20
"""The longest text of one document; a long novel has 3 million characters."""
MAX_TITLE_CHARACTERS = 300
"""A longer title is cut: it goes into every passage of the document."""

_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class DocumentError(Exception):
    """This file cannot be used; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Document:
    """The text of a document.

    Attributes:
        title: its own title, or `""` where it has none.
        pages: its pages in their order, or all of it as one where the format has no pages.
        paged: whether the format has pages.
    """

    title: str
    pages: Sequence[str]
    paged: bool = False


def cleaned(document: Document) -> Document:
    """The document without characters that are no text, its title on one short line.

    Raises:
        DocumentError: it holds no text, or too much.
    """
    characters = sum(map(len, document.pages))
    if characters > MAX_CHARACTERS:
        raise DocumentError(f"more text than {MAX_CHARACTERS:,} characters: {characters:,}")
    pages = [_without_controls(page) for page in document.pages]
    if not any(page.strip() for page in pages):
        hint = f": perhaps a scan (pages: {len(pages):,})" if document.paged else ""
        raise DocumentError(f"no text found{hint}")
    title = " ".join(_without_controls(document.title).split())[:MAX_TITLE_CHARACTERS].rstrip()
    return Document(title, pages, document.paged)


def _without_controls(text: str) -> str:
    """Line ends as `\\n`, and a space for each control character and half of a surrogate pair."""
    return _NOT_TEXT.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
