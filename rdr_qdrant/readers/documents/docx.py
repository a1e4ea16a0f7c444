"""DOCX (Word since 2007), by way of HTML: headings, lists, tables, notes, text boxes."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile

from rdr_qdrant.readers.documents import html
from rdr_qdrant.readers.documents.document import Document, DocumentError

MAX_XML_BYTES = 32 * 2**20
"""Most bytes of all XML in one file, unpacked: a thousand pages and more. `zipfile` unpacks no
more of a part than the archive says it has, so what the archive says can be relied on."""
PROPERTIES = "docProps/core.xml"
TITLE = "{http://purl.org/dc/elements/1.1/}title"
STYLES = "p[style-name='Title'] => h1:fresh"


def read(stream: BinaryIO) -> Document:
    """Its text without pictures; its title is that of its properties, else the first heading.

    Raises:
        DocumentError: it is no DOCX, is damaged, encrypted, or unpacks to too much.
    """
    from xml.parsers.expat import ExpatError

    import mammoth

    if stream.read(4) == b"\xd0\xcf\x11\xe0":
        raise DocumentError("encrypted, or in Word's old format: save it as .docx, unprotected")
    stream.seek(0)
    unnamed = BytesIO(stream.read())
    try:
        with ZipFile(unnamed) as archive:
            _check_size(archive)
            title = _title(archive)
        found = mammoth.convert_to_html(
            unnamed,
            style_map=STYLES,
            include_embedded_style_map=False,
            external_file_access=False,
            convert_image=lambda image: [],
        )
    except (BadZipFile, NotImplementedError, zlib.error, EOFError) as error:
        raise DocumentError(f"not a DOCX, or damaged: {error}") from None
    except ExpatError as error:
        raise DocumentError(f"damaged DOCX: its XML: {error}") from None
    page = html.parse(found.value)
    return Document(title or page.title, page.pages)


def _check_size(archive: ZipFile) -> None:
    parts = [part for part in archive.infolist() if part.filename.endswith((".xml", ".rels"))]
    size = sum(part.file_size for part in parts)
    if size > MAX_XML_BYTES:
        raise DocumentError(f"unpacks to more than {MAX_XML_BYTES:,} bytes of XML: {size:,}")


def _title(archive: ZipFile) -> str:
    from xml.etree.ElementTree import ParseError

    from defusedxml import ElementTree

    if PROPERTIES not in archive.namelist():
        return ""
    try:
        with archive.open(PROPERTIES) as part:
            found: str | None = ElementTree.parse(part).findtext(TITLE)
    except ParseError as error:
        raise DocumentError(f"damaged DOCX: {PROPERTIES}: {error}") from None
    return found or ""
