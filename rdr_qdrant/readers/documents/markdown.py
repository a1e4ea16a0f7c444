"""Markdown (CommonMark with tables), converted by way of HTML."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import BinaryIO

from rdr_qdrant.readers.documents.document import ConvertedDocument
from rdr_qdrant.readers.documents.html import convert_html
from rdr_qdrant.readers.documents.text import decode_text

_FIRST_KEY = (
    r"""(?: (?: [\w.-]+ | [a-z][\w\ ]* | "[^"\n]*" | '[^'\n]*' ):(?=\s) | [a-z][\w-]*:(?!//) )"""
)
_YAML_LINE = r"(?: [^\s\#-].*?:(?=\s) | [a-z][\w-]*:(?!//) | [ \t\#\]}] | -[ \t] | $ ).*\n"
_FRONT_MATTER = re.compile(
    rf"""\A---[ \t]*\n
    (?P<fields> (?: (?:\#.*\n)*+ {_FIRST_KEY}.*\n (?:{_YAML_LINE})*+ )? )
    (?:---|\.\.\.)[ \t]*$""",
    re.MULTILINE | re.VERBOSE,
)
"""A first line `---`, directly followed by a key of one word, or of several in lower case; then
only lines of YAML up to the closing line. Anything else is a thematic break and text.
`*+`, since a line may match in two ways: to try all of them would take for ever.
"""
_TITLE = re.compile(r"^title:[ \t]*(?P<value>.*(?:\n(?:[ \t].*)?)*)", re.MULTILINE)
_BLOCK_SCALAR = re.compile(r"[|>][-+1-9]{0,2}(?:[ \t]+\#.*)?$", re.MULTILINE)
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?', re.DOTALL)
_SINGLE_QUOTED = re.compile(r"'((?:[^']|'')*)'\s*(?:#.*)?", re.DOTALL)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})


def convert(stream: BinaryIO) -> ConvertedDocument:
    """Return the text without markup; the title is the front matter's, else the first heading."""
    from markdown_it import MarkdownIt

    source = decode_text(stream.read()).replace("\r\n", "\n").replace("\r", "\n")
    title = ""
    if front_matter := _FRONT_MATTER.match(source):
        source = source[front_matter.end() :]
        title = _title(front_matter["fields"])
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    document = convert_html(parser.render(source))
    return replace(document, title=title or document.title)


def _title(fields: str) -> str:
    """The title among fields in YAML: a plain, quoted or block scalar; `""` if there is none."""
    match = _TITLE.search(fields)
    if not match or match["value"].startswith("\n"):
        return ""
    value = match["value"].strip()
    if block := _BLOCK_SCALAR.match(value):
        return value[block.end() :].strip()
    if quoted := _DOUBLE_QUOTED.fullmatch(value):
        return re.sub(r"""\\(["\\])""", r"\1", quoted[1])
    if quoted := _SINGLE_QUOTED.fullmatch(value):
        return quoted[1].replace("''", "'")
    return "" if value in _NULL else value
