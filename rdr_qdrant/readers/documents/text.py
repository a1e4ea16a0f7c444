"""Plain text in UTF-8."""

from __future__ import annotations

import codecs
from typing import BinaryIO

from rdr_qdrant.readers.documents.document import Document, DocumentError

_BINARY = {b"%PDF-": "PDF", b"PK\x03\x04": "ZIP (as DOCX is)", b"\xd0\xcf\x11\xe0": "old Word"}


def read(stream: BinaryIO) -> Document:
    """All of it; plain text has no title of its own."""
    return Document("", [decoded(stream.read())])


def decoded(data: bytes, encoding: str = "utf-8") -> str:
    """The text of these bytes, without a byte order mark.

    Raises:
        DocumentError: they are not in this encoding, or are no text at all.
    """
    for start, name in _BINARY.items():
        if data.startswith(start):
            raise DocumentError(f"not text: by its first bytes it is {name}")
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode(encoding)
    except UnicodeDecodeError as error:
        mark = len(data) - len(error.object)
        shown = "UTF-8" if encoding == "utf-8" else encoding
        raise DocumentError(f"not valid {shown}: byte {mark + error.start + 1:,}") from None
    if (null := text.find("\x00")) >= 0:
        raise DocumentError(f"not text: character {null + 1:,} is a null")
    return text
