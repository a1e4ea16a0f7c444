"""The visible text of HTML, tokenized by lxml (libxml2), which is linear in any input.

No library replaces the text rules below: `inscriptis` 2.7 returns nothing for deeply nested pages
and pads tables to their widest cell (60 million characters for a table of 3,000 rows with one long
cell); `trafilatura` 2.3 keeps only the main article, and nothing of broken pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from rdr_qdrant.readers.documents.document import (
    ConvertedDocument,
    DocumentError,
    normalize_text,
)
from rdr_qdrant.readers.documents.text import decode_text
from rdr_qdrant.splitter import Block, BlockKind

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
ITEMS = frozenset({"li", "tr", "dt", "dd", "option", "caption", "summary"})
"""Blocks whose line is an item of a list or a row of a table."""
BOXES = frozenset({"button"})
"""Elements within a line that are set off from the text around them."""
CELLS = frozenset({"td", "th"})
"""Cells of a row stand on one line, separated by tabs."""
ROWS = frozenset({"caption", "table", "tbody", "tfoot", "thead", "tr"})

_LABELS = {
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859-2": """csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2
        iso_8859-2:1987 l2 latin2""",
    "iso8859-3": """csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3
        iso_8859-3:1988 l3 latin3""",
    "iso8859-4": """csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4
        iso_8859-4:1988 l4 latin4""",
    "iso8859-5": """csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595
        iso_8859-5 iso_8859-5:1988""",
    "iso8859-6": """arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6
        iso-8859-6-e iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987""",
    "iso8859-7": """csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7
        iso88597 iso_8859-7 iso_8859-7:1987 sun_eu_greek""",
    "iso8859-8": """csiso88598e csiso88598i csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e
        iso-8859-8-i iso-ir-138 iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 logical visual""",
    "iso8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso8859-16": "iso-8859-16",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "mac-roman": "csmacintosh mac macintosh x-mac-roman",
    "mac-cyrillic": "mac-cyrillic x-mac-cyrillic x-mac-ukrainian",
    "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "cp1251 windows-1251 x-cp1251",
    "cp1252": """ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100
        iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252
        x-user-defined""",
    "cp1253": "cp1253 windows-1253 x-cp1253",
    "cp1254": """cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9
        iso_8859-9:1989 l5 latin5 windows-1254 x-cp1254""",
    "cp1255": "cp1255 windows-1255 x-cp1255",
    "cp1256": "cp1256 windows-1256 x-cp1256",
    "cp1257": "cp1257 windows-1257 x-cp1257",
    "cp1258": "cp1258 windows-1258 x-cp1258",
    "gb18030": """chinese csgb2312 csiso58gb231280 gb18030 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58
        x-gbk""",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc-jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022-jp-ext": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": """cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601
        ksc_5601 windows-949""",
    "hz": "hz-gb-2312",
    "iso2022-kr": "csiso2022kr iso-2022-kr",
}
ENCODINGS = {label: codec for codec, labels in _LABELS.items() for label in labels.split()}
"""Python's codec for each encoding that a page may declare (WHATWG Encoding standard, 4.2).

Beyond the standard, `hz` and `iso2022-kr` are decoded, for which browsers show no text. UTF-16
in `<meta>` means UTF-8 (HTML standard, 13.2.3.2). Python's codecs for EUC-JP and ISO-2022-JP lack
NEC's and IBM's characters, which browsers know; such pages are rejected.
"""
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META = re.compile(rb"""<meta[\s/](?P<attributes>(?:"[^"]*"|'[^']*'|[^>"'])*)""", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"""([^\s=>"'/]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""")
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_XML_ENCODING = re.compile(
    rb"\A\s{0,20}<\?xml[^>]{0,200}?\sencoding\s*=\s*[\"']\s*([\w.:-]{1,40})", re.IGNORECASE
)
_UTF_16_PROLOGS = {b"<\0?\0x\0": "utf-16-le", b"\0<\0?\0x": "utf-16-be"}
DECLARATION_BYTES = 1024
"""Bytes within which a page has to declare its encoding (HTML standard, 4.2.5.4)."""

_HEADING_MARK, _ITEM_MARK, _CODE_MARK, _CODE_END_MARK = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
_END_MARK, _BREAK_MARK = "\ufdd4", "\ufdd5"
"""Characters that no text may hold (Unicode noncharacters); they stand before a line's text. The
last ones are for the end of a heading or item, and for a line after `<br>`."""
_MARKS = re.compile("[\ufdd0-\ufdd5]")
_KINDS: Mapping[str, BlockKind] = {
    _HEADING_MARK: "heading",
    _ITEM_MARK: "item",
    _END_MARK: "paragraph",
}
_END_OF_BREAK = re.compile(r"</br\s*/?>", re.IGNORECASE)
"""A line break to browsers, nothing to libxml2."""
_EXPONENT = re.compile(r"[-+\u2212]?\d")
"""The beginning of what would read as a part of the number before it: `10<sup>5</sup>`."""
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
    from lxml import etree

    markup = _END_OF_BREAK.sub("<br>", markup)
    extractor = _TextExtractor()
    parser = etree.HTMLParser(target=extractor, huge_tree=True)  # huge: no limit of depth or text
    try:
        parser.feed(markup)
        parser.close()
    except etree.LxmlError as error:
        raise DocumentError(f"broken HTML: {error}") from None
    marked = normalize_text("".join(extractor.text))
    text = _EMPTY_LINES.sub("\n\n", _MARKS.sub("", marked)).strip()
    title = "".join(extractor.title).strip() or " ".join("".join(extractor.heading).split())
    return ConvertedDocument(title, [text], blocks=_blocks(text, _line_kinds(marked)))


def _line_kinds(marked: str) -> Iterator[BlockKind | None]:
    """The kind of each line that is not empty; the mark of an empty line is for the next one.

    `None` for a line after one `<br>` that begins in lower case: it continues the one before.
    """
    kind: BlockKind = "paragraph"
    in_code = False
    for line in marked.split("\n"):
        is_code = in_code or _CODE_MARK in line
        for mark in _MARKS.findall(line):
            if mark in (_CODE_MARK, _CODE_END_MARK):
                in_code = mark == _CODE_MARK
            else:
                kind = _KINDS.get(mark, kind)
        if kept := _MARKS.sub("", line).strip():
            if _MARKS.findall(line) == [_BREAK_MARK] and kept[0].islower() and not is_code:
                yield None
            else:
                yield "item" if is_code else kind
            kind = "paragraph"


def _blocks(text: str, kinds: Iterator[BlockKind | None]) -> list[Block]:
    """A block for each line of the text that is not empty, unless it continues the last one."""
    blocks: list[Block] = []
    start = 0
    for line in text.split("\n"):
        if line.strip():
            first = start + len(line) - len(line.lstrip())
            kind = next(kinds)
            if kind is None and blocks and blocks[-1].kind != "heading":
                last = blocks.pop()
                kind, first = last.kind, last.start
            blocks.append(Block(kind or "paragraph", first, start + len(line.rstrip())))
        start += len(line) + 1
    return blocks


def _declared_encoding(data: bytes) -> str:
    """Return the encoding that the page declares in `<meta>` or its XML prolog, else UTF-8."""
    for prolog, encoding in _UTF_16_PROLOGS.items():
        if data.startswith(prolog):
            return encoding
    head = data[:DECLARATION_BYTES]
    for label in _labels(head):
        if known := ENCODINGS.get(label.strip().decode("ascii", "replace").lower()):
            return known
    return "utf-8"


def _labels(head: bytes) -> Iterator[bytes]:
    """The encodings named at the beginning of a page, as browsers look for them (13.2.3.2)."""
    for meta in _META.finditer(_COMMENT.sub(b"", head)):
        found = _ATTRIBUTE.findall(meta["attributes"])
        values = {name.lower(): b"".join(value) for name, *value in reversed(found)}
        if b"charset" in values:
            yield values[b"charset"]
        elif values.get(b"http-equiv", b"").lower() == b"content-type":
            yield from _CHARSET.findall(values.get(b"content", b""))
    yield from _XML_ENCODING.findall(head)


class _TextExtractor:
    """Collects text from the parser's events; no tree is built."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.title: list[str] = []
        self.heading: list[str] = []
        self._invisible_depth = self._pre_depth = 0
        self._in_title = self._in_heading = False
        self._in_cell = self._in_exponent = False
        self._after_space = self._after_line = True

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Handle a start tag."""
        if tag in INVISIBLE:
            self._invisible_depth += 1
        elif not self._invisible_depth:
            if tag == "title":
                self._in_title = not self.title
            elif tag in HEADINGS:
                self._in_heading = not "".join(self.heading).strip()
            elif tag == "pre":
                self._pre_depth += 1
            elif tag == "sup":
                self._in_exponent = "".join(self.text[-1:])[-1:].isdigit()
            self._separate(tag, starts=True)

    def end(self, tag: str) -> None:
        """Handle an end tag, or the end of an element without one."""
        if tag in INVISIBLE:
            self._invisible_depth -= 1
        elif not self._invisible_depth:
            if tag == "title":
                self._in_title = False
            elif tag in HEADINGS:
                self._in_heading = False
            elif tag == "pre":
                self._pre_depth -= 1
            self._separate(tag, starts=False)

    def data(self, data: str) -> None:
        """Handle text, which may come in pieces."""
        if self._invisible_depth:
            return
        data = _MARKS.sub(" ", data)
        if self._in_title:
            self.title.append(data)
            return
        if self._in_heading:
            self.heading.append(data)
        if not self._pre_depth:
            data = _WHITE_SPACE.sub(" ", data)
            if self._after_space:
                data = data.lstrip()
        if self._in_exponent and _EXPONENT.match(data):
            data = f"^{data}"
        if data:
            self._in_exponent = False
            self.text.append(data)
            self._after_space = not self._pre_depth and data.endswith(" ")
            self._after_line = False

    def close(self) -> None:
        """Handle the end of the document."""

    def _separate(self, tag: str, *, starts: bool) -> None:
        """Add the line end, tab or space that separates blocks or cells."""
        if self._in_heading and tag in BLOCKS:
            self.heading.append(" ")
        if tag == "pre" and not starts:
            self.text.append(_CODE_END_MARK)
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
            if starts:
                self._mark(tag)
            elif tag == "br":
                self.text.append(_BREAK_MARK)
            elif tag in HEADINGS | ITEMS:
                self.text.append(_END_MARK)
        elif tag in BLOCKS | BOXES and not self._after_space:
            self._end_with(" ")

    def _mark(self, tag: str) -> None:
        if tag in HEADINGS:
            self.text.append(_HEADING_MARK)
        elif tag in ITEMS:
            self.text.append(_ITEM_MARK)
        elif tag == "pre":
            self.text.append(_CODE_MARK)

    def _end_with(self, separator: str) -> None:
        """Add a separator, unless a line has just ended."""
        if not self._after_line:
            self.text[-1] = self.text[-1].rstrip(" ")
            self.text.append(separator)
        self._after_space = True
