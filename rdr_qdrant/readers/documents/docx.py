"""DOCX (Word since 2007), converted by way of HTML: headings, lists, tables, notes, text boxes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import BinaryIO
from xml.etree.ElementTree import ParseError  # parsed by defusedxml only
from zipfile import BadZipFile, ZipFile

from rdr_qdrant.readers.documents.document import ConvertedDocument, DocumentError
from rdr_qdrant.readers.documents.docx_rewrite import is_xml, rewrite_for_mammoth
from rdr_qdrant.readers.documents.html import convert_html

MAX_XML_BYTES = 32 * 2**20
"""Most bytes of XML in one file, unpacked: over a thousand pages. `zipfile` never unpacks more of
a part than the size the archive states, so checking the stated sizes is enough."""
PROPERTIES_PART = "docProps/core.xml"
TITLE_TAG = "{http://purl.org/dc/elements/1.1/}title"
LINK_BACK = re.compile('<a href="#(?:footnote|endnote)-ref-[^"]*">↑</a>')
"""What mammoth puts after each note; the document does not show it."""
DRAWN_PARTS = (
    (re.compile(r"word/charts/chart(Ex)?\d*\.xml"), "chart", "charts"),
    (re.compile(r"word/diagrams/data\d*\.xml"), "SmartArt graphic", "SmartArt graphics"),
)
"""Parts that show text as a drawing, and what they are called."""
STYLE_MAP = "p[style-name='Title'] => h1:fresh"


def convert(stream: BinaryIO) -> ConvertedDocument:
    """Return the text without images; the title is that of the properties, else the first heading.

    Raises:
        DocumentError: the file is not a DOCX, is damaged, encrypted, unpacks to too much, or has
            text in an embedded file.
    """
    from xml.parsers.expat import ExpatError

    import mammoth

    if stream.read(4) == b"\xd0\xcf\x11\xe0":
        raise DocumentError("encrypted, or in Word's old format: save it as .docx, unprotected")
    stream.seek(0)
    buffer = BytesIO(stream.read())  # mammoth would follow the name of a file to others
    try:
        with ZipFile(buffer) as archive:
            _check_size(archive)
            title = _read_title(archive)
            omitted = list(_omitted(archive))
            readable = rewrite_for_mammoth(archive)
        result = mammoth.convert_to_html(
            readable,
            style_map=STYLE_MAP,
            include_embedded_style_map=False,
            external_file_access=False,
            convert_image=lambda image: [],
        )
    except (BadZipFile, NotImplementedError, zlib.error, EOFError) as error:
        raise DocumentError(f"not a DOCX, or damaged: {error}") from None
    except (ParseError, ExpatError) as error:
        raise DocumentError(f"damaged DOCX: its XML: {error}") from None
    document = convert_html(LINK_BACK.sub("", result.value))
    return replace(document, title=title or document.title, omitted=omitted)


def _check_size(archive: ZipFile) -> None:
    size = sum(part.file_size for part in archive.infolist() if is_xml(part.filename))
    if size > MAX_XML_BYTES:
        raise DocumentError(f"unpacks to more than {MAX_XML_BYTES:,} bytes of XML: {size:,}")


def _omitted(archive: ZipFile) -> Iterator[str]:
    for parts, singular, plural in DRAWN_PARTS:
        if count := sum(parts.fullmatch(name) is not None for name in archive.namelist()):
            yield f"{count:,} {singular if count == 1 else plural}"


def _read_title(archive: ZipFile) -> str:
    from defusedxml import ElementTree

    if PROPERTIES_PART not in archive.namelist():
        return ""
    try:
        with archive.open(PROPERTIES_PART) as part:
            title: str | None = ElementTree.parse(part).findtext(TITLE_TAG)
    except ParseError as error:
        raise DocumentError(f"damaged DOCX: {PROPERTIES_PART}: {error}") from None
    return title or ""
