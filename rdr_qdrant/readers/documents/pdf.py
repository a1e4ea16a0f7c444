"""PDF, page by page."""

from __future__ import annotations

from typing import BinaryIO

from rdr_qdrant.readers.documents.document import (
    MAX_CHARACTERS,
    ConvertedDocument,
    DocumentError,
)


def convert(stream: BinaryIO) -> ConvertedDocument:
    """Return the text layer of each page; the title is that of the document information.

    Raises:
        DocumentError: the file is not a PDF, is damaged, or needs a password.
    """
    from pypdf import PasswordType, PdfReader
    from pypdf.errors import PyPdfError

    if b"%PDF-" not in stream.read(1024):
        raise DocumentError("not a PDF: its first bytes are not those of one")
    stream.seek(0)
    location = ""
    pages: list[str] = []
    characters = 0
    try:
        reader = PdfReader(stream)
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise DocumentError("encrypted: it needs a password")
        title = reader.metadata.title if reader.metadata else None
        for number, page in enumerate(reader.pages, start=1):
            location = f"page {number:,}: "
            pages.append(page.extract_text().strip())
            characters += len(pages[-1])
            if characters > MAX_CHARACTERS:
                raise DocumentError(f"more text than {MAX_CHARACTERS:,} characters")
    except PyPdfError as error:
        raise DocumentError(f"damaged PDF: {location}{error}") from None
    return ConvertedDocument(str(title or ""), pages, paged=True)
