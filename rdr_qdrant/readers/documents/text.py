"""Plain text."""

from __future__ import annotations

import codecs
from typing import BinaryIO

from rdr_qdrant.readers.documents.document import ConvertedDocument, DocumentError

_BINARY_SIGNATURES = {
    b"%PDF-": "PDF",
    b"PK\x03\x04": "ZIP (as DOCX is)",
    b"\xd0\xcf\x11\xe0": "old Word",
}


def convert(stream: BinaryIO) -> ConvertedDocument:
    """Return all of the text; plain text has no title."""
    return ConvertedDocument("", [decode_text(stream.read())])


def decode_text(data: bytes, encoding: str = "utf-8") -> str:
    """Decode bytes and drop the byte order mark.

    Raises:
        DocumentError: the bytes are invalid in this encoding, or not text.
    """
    for signature, format_name in _BINARY_SIGNATURES.items():
        if data.startswith(signature):
            raise DocumentError(f"not text: its first bytes are those of {format_name}")
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode(encoding)
    except UnicodeDecodeError as error:
        mark = len(data) - len(error.object)
        shown = "UTF-8" if encoding == "utf-8" else encoding
        raise DocumentError(f"not valid {shown}: byte {mark + error.start + 1:,}") from None
    if (null := text.find("\x00")) >= 0:
        raise DocumentError(f"not text: character {null + 1:,} is a null")
    return text
