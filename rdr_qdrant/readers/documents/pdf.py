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
MOST_OPTIONS = 1000
"""Of a list to choose from whose shown texts are looked up, since many fields may share one."""


def convert(stream: BinaryIO) -> ConvertedDocument:
    """Return the text layer of each page, and what its form was filled in with.

    The title is that of the document information.

    Raises:
        DocumentError: the file is not a PDF, is damaged, or needs a password or a form engine.
    """
    from pypdf import PasswordType, PdfReader
    from pypdf.errors import PyPdfError
    from pypdf.generic import BooleanObject

    if b"%PDF-" not in stream.read(1024):
        raise DocumentError("not a PDF: its first bytes are not those of one")
    stream.seek(0)
    location = ""
    pages: list[str] = []
    typed: list[list[str]] = []
    without_text: list[int] = []
    damaged: list[int] = []
    characters = 0
    try:
        reader = PdfReader(stream)
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise DocumentError("encrypted: it needs a password")
        if reader.root_object.get("/NeedsRendering") == BooleanObject(True):
            raise DocumentError("an XFA form, which only Adobe's programs show: print it to PDF")
        title = reader.metadata.title if reader.metadata else None
        for number, page in enumerate(reader.pages, start=1):
            location = f"page {number:,}: "
            pages.append(page.extract_text().strip())
            characters += len(pages[-1])
            typed.append([])
            try:
                for text in _annotation_texts(page):
                    typed[-1].append(text)
                    characters += len(text)
                    if characters > MAX_CHARACTERS:
                        break
            except Exception:  # pypdf raises errors of any type for a broken object
                damaged.append(number)
            if characters > MAX_CHARACTERS:
                raise DocumentError(f"more text than {MAX_CHARACTERS:,} characters")
            if not pages[-1] and _shows_something(page):
                without_text.append(number)
        omitted = list(_omitted(reader, without_text, damaged))
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
            label = "".join(_texts(_inherited(annotation, "/TU"))).rstrip(": ")
            for value in _values(annotation):
                if label:
                    yield f"{label}: {value}"
                elif _inherited(annotation, "/FT") != "/Btn":
                    yield value


def _values(field: DictionaryObject) -> Iterator[str]:
    """Yield what is typed or chosen in a form field; `Yes` or such for a checked box."""
    kind = _inherited(field, "/FT")
    values = list(_texts(_inherited(field, "/V")))
    options = _inherited(field, "/Opt")
    if not isinstance(options, list):
        options = []
    if kind == "/Btn":
        state = "".join(_texts(_entry(field, "/AS"))).removeprefix("/")
        if state.isdecimal() and int(state) < len(options):
            yield from _texts(options[int(state)].get_object())
        elif state != "Off":
            yield from _texts(state)
    elif kind == "/Ch":
        shown = {}
        for option in options[:MOST_OPTIONS] if values else ():
            pair = option.get_object()
            if isinstance(pair, list) and len(pair) == 2:
                shown[pair[0]] = pair[1]
        for value in values:
            yield from _texts(shown.get(value, value))
    elif kind == "/Tx" and not _flags(field, "/Ff") & PASSWORD_FLAG:
        yield from values


def _texts(value: object) -> Iterator[str]:
    values = [one.get_object() for one in value] if isinstance(value, list) else [value]
    for one in values:
        text = one.decode("utf-8", "replace") if isinstance(one, bytes) else one
        if isinstance(text, str) and text.strip():
            yield text.strip()


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
    try:
        contents = page.get_contents()
        return contents is not None and any(
            operator in PAINTING_OPERATORS for _, operator in contents.operations
        )
    except Exception:  # damaged: other programs may show more of it
        return True


def _omitted(
    reader: PdfReader, without_text: Sequence[int], damaged: Sequence[int]
) -> Iterator[str]:
    if without_text:
        yield f"{_page_ranges(without_text)} of {len(reader.pages):,}, without text (scanned?)"
    if damaged:
        yield f"some of what was typed onto {_page_ranges(damaged)} (damaged)"
    if "/Collection" in reader.root_object:
        yield "the files in it"


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
