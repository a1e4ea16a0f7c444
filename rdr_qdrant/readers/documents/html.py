"""The visible text of HTML, by the standard library's parser.

No library replaces it: `inscriptis` 2.7 returns nothing for deeply nested pages and pads tables to
their widest cell (60 million characters for a table of 3,000 rows with one long cell), and
`trafilatura` 2.3 keeps only the main article, and nothing of broken pages.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import BinaryIO

from rdr_qdrant.readers.documents.document import ConvertedDocument, DocumentError
from rdr_qdrant.readers.documents.text import decode_text

INVISIBLE = frozenset({"script", "style", "template", "noscript", "svg", "iframe"})
"""Elements whose content is not shown."""
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
BLOCKS = HEADINGS | frozenset(
    """address article aside blockquote body br caption center dd details dialog dir div dl dt
    fieldset figcaption figure footer form header hgroup hr html legend li main menu nav ol optgroup
    option p pre search section summary table tbody tfoot thead title tr ul""".split()
)
"""Elements that begin and end a line."""
PARAGRAPHS = HEADINGS | {"p", "pre", "table"}
"""Blocks with an empty line before and after them."""
CELLS = frozenset({"td", "th"})
"""Cells of a row stand on one line, separated by tabs."""
ROWS = frozenset({"caption", "table", "tbody", "tfoot", "thead", "tr"})

ENCODINGS = frozenset(
    """big5 cp866 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 euc-jp euc-kr gbk
    gb18030 gb2312 iso-2022-jp iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7
    iso-8859-8 iso-8859-9 iso-8859-10 iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 koi8-r koi8-u
    mac-cyrillic shift_jis tis-620 utf-8""".split()
)
"""Encodings that a page may declare (WHATWG Encoding standard)."""
_ENCODING_ALIASES = {
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "cp1252",
    "ascii": "cp1252",
}
_DECLARATION = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE
)
DECLARATION_BYTES = 1024
"""Bytes within which a page has to declare its encoding (HTML standard, 4.2.5.4)."""

_WHITE_SPACE = re.compile(r"\s+")
_EMPTY_LINES = re.compile(r"[ \t]*\n(?:[ \t]*\n)+")


def convert(stream: BinaryIO) -> ConvertedDocument:
    """Return the page's visible text; the title is `<title>`, else the first heading."""
    data = stream.read()
    return convert_html(decode_text(data, _declared_encoding(data)))


def convert_html(markup: str) -> ConvertedDocument:
    """Return title and visible text of HTML.

    Raises:
        DocumentError: the parser cannot handle it.
    """
    parser = _TextExtractor()
    try:
        parser.feed(markup)
        parser.close()
    except AssertionError as error:  # html.parser, at an unknown marked section
        raise DocumentError(f"broken HTML: {error}") from None
    text = _EMPTY_LINES.sub("\n\n", "".join(parser.text)).strip()
    title = "".join(parser.title).strip() or "".join(parser.heading).strip()
    return ConvertedDocument(title, [text])


def _declared_encoding(data: bytes) -> str:
    """Return the encoding that the page declares, else UTF-8 (as with its byte order mark)."""
    match = _DECLARATION.search(data[:DECLARATION_BYTES])
    if not match or data.startswith(b"\xef\xbb\xbf"):
        return "utf-8"
    name = match[1].decode("ascii", "replace").lower().replace("windows-", "cp")
    name = _ENCODING_ALIASES.get(name, name)
    return name if name in ENCODINGS else "utf-8"


class _TextExtractor(HTMLParser):
    """Collects text from parser events, without a tree, so that nesting depth costs nothing."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.title: list[str] = []
        self.heading: list[str] = []
        self._open_invisible: list[str] = []
        self._in_title = self._in_heading = False
        self._in_cell = False
        self._pre_depth = 0
        self._after_space = self._after_line = True

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in INVISIBLE:
            self._open_invisible.append(tag)
        elif not self._open_invisible:
            if tag == "title":
                self._in_title = not self.title
            elif tag in HEADINGS:
                self._in_heading = not "".join(self.heading).strip()
            elif tag == "pre":
                self._pre_depth += 1
            self._separate(tag, starts=True)

    def handle_endtag(self, tag: str) -> None:
        if tag in INVISIBLE:
            if tag in self._open_invisible:
                del self._open_invisible[self._open_invisible.index(tag) :]
        elif not self._open_invisible:
            if tag == "title":
                self._in_title = False
            elif tag in HEADINGS:
                self._in_heading = False
            elif tag == "pre":
                self._pre_depth = max(0, self._pre_depth - 1)
            self._separate(tag, starts=False)

    def handle_data(self, data: str) -> None:
        if self._open_invisible:
            return
        if self._in_title:
            self.title.append(data)
            return
        if self._in_heading:
            self.heading.append(data)
        if not self._pre_depth:
            data = _WHITE_SPACE.sub(" ", data)
            if self._after_space:
                data = data.lstrip()
        if data:
            self.text.append(data)
            self._after_space = self._after_line = False

    def _separate(self, tag: str, *, starts: bool) -> None:
        """Add the line end, tab or space that separates blocks or cells."""
        if tag in CELLS:
            if starts:
                self._end_with("\t")
            self._in_cell = starts
        elif tag in ROWS or (tag in BLOCKS and not self._in_cell):
            self._in_cell = False
            self._end_with("\n")
            if tag in PARAGRAPHS:
                self.text.append("\n")
            self._after_line = True
        elif tag in BLOCKS and not self._after_space:
            self._end_with(" ")

    def _end_with(self, separator: str) -> None:
        """Add a separator, unless a line has just ended."""
        if not self._after_line:
            self.text[-1] = self.text[-1].rstrip(" ")
            self.text.append(separator)
        self._after_space = True
