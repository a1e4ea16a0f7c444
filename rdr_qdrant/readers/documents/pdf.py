"""PDF, page by page."""

from __future__ import annotations

from typing import BinaryIO

from rdr_qdrant.readers.documents.document import MAX_CHARACTERS, Document, DocumentError


def read(stream: BinaryIO) -> Document:
    """The text layer of each page; its title is that of the document's information.

    Raises:
        DocumentError: it is no PDF, is damaged, or needs a password.
    """
    from pypdf import PasswordType, PdfReader
    from pypdf.errors import PyPdfError

    if b"%PDF-" not in stream.read(1024):
        raise DocumentError("not a PDF: it does not begin as one")
    stream.seek(0)
    where = ""
    pages: list[str] = []
    characters = 0
    try:
        reader = PdfReader(stream)
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise DocumentError("encrypted: it opens with a password only")
        title = reader.metadata.title if reader.metadata else None
        for number, page in enumerate(reader.pages, start=1):
            where = f"page {number:,}: "
            pages.append(page.extract_text().strip())
            characters += len(pages[-1])
            if characters > MAX_CHARACTERS:
                raise DocumentError(f"more text than {MAX_CHARACTERS:,} characters")
    except PyPdfError as error:
        raise DocumentError(f"damaged PDF: {where}{error}") from None
    return Document(str(title or ""), pages, paged=True)
