"""Plain text in UTF-8, or in UTF-16 or UTF-32 with a byte order mark."""

from __future__ import annotations

from typing import BinaryIO

from rdr_qdrant.readers.documents.document import ConvertedDocument, DocumentError
from rdr_qdrant.readers.file_io import split_byte_order_mark

_BINARY_SIGNATURES = {
    b"%PDF-": "PDF",
    b"PK\x03\x04": "ZIP (as DOCX is)",
    b"\xd0\xcf\x11\xe0": "old Word",
}


def convert(stream: BinaryIO) -> ConvertedDocument:
    """Return all of the text; plain text has no title."""
    return ConvertedDocument("", [decode_text(stream.read())])


def decode_text(data: bytes, encoding: str = "utf-8") -> str:
    """Decode bytes.

    Args:
        data: the bytes.
        encoding: their encoding, unless they begin with a byte order mark.

    Raises:
        DocumentError: the bytes are invalid in this encoding, or not text.
    """
    for signature, format_name in _BINARY_SIGNATURES.items():
        if data.startswith(signature):
            raise DocumentError(f"not text: its first bytes are those of {format_name}")
    mark, marked_encoding = split_byte_order_mark(data)
    encoding = marked_encoding or encoding
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        position = len(mark) + error.start + 1
        raise DocumentError(f"not valid {encoding.upper()}: byte {position:,}") from None
    if (null := text.find("\x00")) >= 0:
        raise DocumentError(f"not text: character {null + 1:,} is a null")
    return text
