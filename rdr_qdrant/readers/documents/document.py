"""The text of a document after conversion."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rdr_qdrant.splitter import Block

MAX_CHARACTERS = 32 * 2**20
"""Longest text of one document; a long novel has 3 million characters."""
MAX_TITLE_CHARACTERS = 300
"""Longest title; the title becomes part of every passage of the document."""

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class DocumentError(Exception):
    """The document cannot be used; the message is the reason."""


@dataclass(frozen=True, slots=True)
class ConvertedDocument:
    """Title and text of a document.

    Attributes:
        title: the document's own title, or `""`.
        pages: text of each page in order; all of the text as one if the format has no pages.
        paged: the format has pages.
        blocks: headings, paragraphs and items of the text, if the format has marks for them; of
            the first page, since such a format has no pages.
        omitted: what the document shows and the text lacks, each in words for a warning.
    """

    title: str
    pages: Sequence[str]
    paged: bool = False
    blocks: Sequence[Block] = ()
    omitted: Sequence[str] = ()


def normalize_document(document: ConvertedDocument) -> ConvertedDocument:
    """Remove control characters, and put the title on one line of limited length.

    Raises:
        DocumentError: the document holds no text, or too much.
    """
    characters = sum(map(len, document.pages))
    if characters > MAX_CHARACTERS:
        raise DocumentError(f"more text than {MAX_CHARACTERS:,} characters: {characters:,}")
    pages = [normalize_text(page) for page in document.pages]
    if not any(page.strip() for page in pages):
        hint = f": perhaps a scan (pages: {len(pages):,})" if document.paged else ""
        raise DocumentError(f"no text found{hint}")
    title = " ".join(normalize_text(document.title).split())[:MAX_TITLE_CHARACTERS].rstrip()
    return replace(document, title=title, pages=pages)


def normalize_text(text: str) -> str:
    """Use `\\n` as line end, and a space for each control character and lone surrogate.

    Soft hyphens are removed: they are within words, and shown only where a line ends.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00ad", "")
    return _CONTROL_CHARACTERS.sub(" ", text)
