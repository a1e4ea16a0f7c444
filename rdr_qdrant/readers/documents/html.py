"""HTML: its text as a reader sees it, by the standard library's parser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import BinaryIO

from rdr_qdrant.readers.documents.document import Document, DocumentError
from rdr_qdrant.readers.documents.text import decoded

UNSEEN = frozenset({"script", "style", "template", "noscript", "svg", "iframe"})
"""Elements whose content is no text of the page."""
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
"""Cells of a row stand on one line, a tab between them."""
ROWS = frozenset({"caption", "table", "tbody", "tfoot", "thead", "tr"})

ENCODINGS = frozenset(
    """big5 cp866 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 euc-jp euc-kr gbk
    gb18030 gb2312 iso-2022-jp iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7
    iso-8859-8 iso-8859-9 iso-8859-10 iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 koi8-r koi8-u
    mac-cyrillic shift_jis tis-620 utf-8""".split()
)
"""Encodings that a page may declare; those of the HTML standard."""
_OTHER_NAMES = {"iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252"}
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
DECLARED_WITHIN = 1024
"""Bytes in which a page has to declare its encoding (HTML standard, 4.2.5.4)."""

_SPACE = re.compile(r"\s+")
_EMPTY_LINES = re.compile(r"[ \t]*\n(?:[ \t]*\n)+")


def read(stream: BinaryIO) -> Document:
    """The page's text; its title is `<title>`, else its first heading."""
    data = stream.read()
    return parse(decoded(data, _encoding(data)))


def parse(markup: str) -> Document:
    """Title and text of HTML.

    Raises:
        DocumentError: the parser gives up on it.
    """
    page = _Page()
    try:
        page.feed(markup)
        page.close()
    except AssertionError as error:  # html.parser, at a marked section that it does not know
        raise DocumentError(f"broken HTML: {error}") from None
    text = _EMPTY_LINES.sub("\n\n", "".join(page.text)).strip()
    title = "".join(page.title).strip() or "".join(page.heading).strip()
    return Document(title, [text])


def _encoding(data: bytes) -> str:
    """What the page declares, else UTF-8 (whose byte order mark overrides)."""
    found = _DECLARED.search(data[:DECLARED_WITHIN])
    if not found or data.startswith(b"\xef\xbb\xbf"):
        return "utf-8"
    name = found[1].decode("ascii", "replace").lower().replace("windows-", "cp")
    name = _OTHER_NAMES.get(name, name)
    return name if name in ENCODINGS else "utf-8"


class _Page(HTMLParser):
    """Collects text by events: no tree, so nesting costs nothing."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.title: list[str] = []
        self.heading: list[str] = []
        self._unseen: list[str] = []
        self._in_title = self._in_heading = False
        self._in_cell = False
        self._preformatted = 0
        self._after_space = self._after_line = True

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in UNSEEN:
            self._unseen.append(tag)
        elif not self._unseen:
            if tag == "title":
                self._in_title = not self.title
            elif tag in HEADINGS:
                self._in_heading = not "".join(self.heading).strip()
            elif tag == "pre":
                self._preformatted += 1
            self._space(tag, starts=True)

    def handle_endtag(self, tag: str) -> None:
        if tag in UNSEEN:
            if tag in self._unseen:
                del self._unseen[self._unseen.index(tag) :]
        elif not self._unseen:
            if tag == "title":
                self._in_title = False
            elif tag in HEADINGS:
                self._in_heading = False
            elif tag == "pre":
                self._preformatted = max(0, self._preformatted - 1)
            self._space(tag, starts=False)

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        if self._in_title:
            self.title.append(data)
            return
        if self._in_heading:
            self.heading.append(data)
        if not self._preformatted:
            data = _SPACE.sub(" ", data)
            if self._after_space:
                data = data.lstrip()
        if data:
            self.text.append(data)
            self._after_space = self._after_line = False

    def _space(self, tag: str, *, starts: bool) -> None:
        """What stands between two blocks or cells."""
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

    def _end_with(self, space: str) -> None:
        """Put a space of some kind, unless a line has just ended."""
        if not self._after_line:
            self.text[-1] = self.text[-1].rstrip(" ")
            self.text.append(space)
        self._after_space = True
