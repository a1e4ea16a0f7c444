"""PDF, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from rdr_qdrant.readers.documents.document import (
    MAX_CHARACTERS,
    ConvertedDocument,
    DocumentError,
)
from rdr_qdrant.readers.documents.pdf_layout import undo_layout

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader
    from pypdf.generic import DictionaryObject

PAINTING_OPERATORS = frozenset(b"Do|INLINE IMAGE|sh|f|F|f*|B|B*|b|b*|S|s".split(b"|"))
"""Those of a page's contents that show an image, an area or a line (ISO 32000-2, 8.2)."""
MOST_RANGES = 10
"""Ranges of pages that a warning names."""
HIDDEN_FLAGS = 1 << 1 | 1 << 5
"""Hidden and NoView of an annotation (ISO 32000-2, table 167)."""
DEEPEST_FIELD = 32
"""Fields within fields; a damaged file may have a field within itself."""
PASSWORD_FLAG = 1 << 13
"""Of a text field (ISO 32000-2, table 231)."""


def convert(stream: BinaryIO) -> ConvertedDocument:
    """Return the text layer of each page, and what its form was filled in with.

    The title is that of the document information.

    Raises:
        DocumentError: the file is not a PDF, is damaged, or needs a password or a form engine.
    """
    from pypdf import PasswordType, PdfReader
    from pypdf.errors import PyPdfError

    if b"%PDF-" not in stream.read(1024):
        raise DocumentError("not a PDF: its first bytes are not those of one")
    stream.seek(0)
    location = ""
    pages: list[str] = []
    typed: list[list[str]] = []
    without_text: list[int] = []
    characters = 0
    try:
        reader = PdfReader(stream)
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise DocumentError("encrypted: it needs a password")
        if _entry(reader.root_object, "/NeedsRendering"):
            raise DocumentError("an XFA form, which only Adobe's programs show: print it to PDF")
        title = reader.metadata.title if reader.metadata else None
        for number, page in enumerate(reader.pages, start=1):
            location = f"page {number:,}: "
            pages.append(page.extract_text().strip())
            typed.append(list(_annotation_texts(page)))
            characters += len(pages[-1]) + sum(map(len, typed[-1]))
            if characters > MAX_CHARACTERS:
                raise DocumentError(f"more text than {MAX_CHARACTERS:,} characters")
            if not pages[-1] and _shows_something(page):
                without_text.append(number)
        omitted = list(_omitted(reader, without_text))
    except PyPdfError as error:
        raise DocumentError(f"damaged PDF: {location}{error}") from None
    pages = [
        "\n\n".join([printed, *texts]).strip()
        for printed, texts in zip(undo_layout(pages), typed, strict=True)
    ]
    return ConvertedDocument(str(title or ""), pages, paged=True, omitted=omitted)


def _annotation_texts(page: PageObject) -> Iterator[str]:
    """Yield what was typed onto a page: the values of form fields, and free text."""
    from pypdf.generic import DictionaryObject

    for reference in page.annotations or ():
        annotation = reference.get_object()
        if not isinstance(annotation, DictionaryObject) or _flags(annotation, "/F") & HIDDEN_FLAGS:
            continue
        if _entry(annotation, "/Subtype") == "/FreeText":
            yield from _texts(_entry(annotation, "/Contents"))
        elif _entry(annotation, "/Subtype") == "/Widget":
            kind = _inherited(annotation, "/FT")
            is_secret = kind == "/Tx" and _flags(annotation, "/Ff") & PASSWORD_FLAG
            if kind not in ("/Tx", "/Ch") or is_secret:
                continue
            label = "".join(_texts(_inherited(annotation, "/TU"))).rstrip(": ")
            for value in _texts(_inherited(annotation, "/V")):
                yield f"{label}: {value}" if label else value


def _texts(value: object) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and one.strip():
            yield one.strip()


def _flags(field: DictionaryObject, key: str) -> int:
    flags = _inherited(field, key)
    return flags if isinstance(flags, int) else 0


def _inherited(field: DictionaryObject, key: str) -> object:
    """Return what a form field has under a key, or a field that it is a part of."""
    for _ in range(DEEPEST_FIELD):
        parent = _entry(field, "/Parent")
        if key in field or not isinstance(parent, type(field)):
            break
        field = parent
    return _entry(field, key)


def _entry(dictionary: DictionaryObject, key: str) -> object:
    """Return a value, or `None`; unlike `get`, which returns a reference where one stands."""
    if key not in dictionary:
        return None
    return dictionary[key]


def _shows_something(page: PageObject) -> bool:
    contents = page.get_contents()
    return contents is not None and any(
        operator in PAINTING_OPERATORS for _, operator in contents.operations
    )


def _omitted(reader: PdfReader, without_text: Sequence[int]) -> Iterator[str]:
    if without_text:
        yield f"{_page_ranges(without_text)} of {len(reader.pages):,}, without text (scanned?)"
    if "/Collection" in reader.root_object and reader.attachments:
        yield f"the files in it ({len(reader.attachments):,})"


def _page_ranges(pages: Sequence[int]) -> str:
    """Return `page 3`, or `pages 3-5, 8`."""
    ranges: list[list[int]] = []
    for page in pages:
        if ranges and ranges[-1][-1] == page - 1:
            ranges[-1][1:] = [page]
        else:
            ranges.append([page])
    shown = ["-".join(map(str, one)) for one in ranges[:MOST_RANGES]]
    if len(ranges) > MOST_RANGES:
        shown.append("...")
    return f"{'page' if len(pages) == 1 else 'pages'} {', '.join(shown)}"
