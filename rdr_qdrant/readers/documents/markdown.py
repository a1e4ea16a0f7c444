"""Markdown (CommonMark with tables), converted by way of HTML."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from rdr_qdrant.readers.documents.document import ConvertedDocument, DocumentError
from rdr_qdrant.readers.documents.html import INVISIBLE, convert_html
from rdr_qdrant.readers.documents.text import decode_text

if TYPE_CHECKING:
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token

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

MAX_NESTING = 100
"""Depth of blocks, where a list with its items counts twice. At its limit, markdown-it drops all
that follows."""
_DEFINITION = re.compile(r"\[(?P<label>[^\]\n]+)\]:[ \t]*(?P<target>\S+)")
_ADDRESS = re.compile(r"<|#|mailto:|.*?(?:/|\w\.\w)")
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[a-z][\w.:-]*)(?P<empty>[^<>]*/>)?", re.IGNORECASE)
_HIDES_TEXT = INVISIBLE | {"noembed", "noframes", "plaintext", "textarea", "title", "xmp"}
_NEWER_ELEMENTS = frozenset({"data", "dialog", "main", "picture", "search", "slot", "template"})
"""Those that lxml's list of HTML's elements lacks."""


def convert(stream: BinaryIO) -> ConvertedDocument:
    """Return the text without markup; the title is the front matter's, else the first heading."""
    from markdown_it import MarkdownIt

    source = decode_text(stream.read()).replace("\r\n", "\n").replace("\r", "\n")
    title = ""
    if front_matter := _FRONT_MATTER.match(source):
        source = source[front_matter.end() :]
        title = _title(front_matter["fields"])
    parser = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING})
    parser.enable(["table", "strikethrough"])
    parser.block.ruler.at("reference", _reference, {"alt": []})
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    tokens = parser.parse(source)
    if any(token.level >= MAX_NESTING - 1 for token in tokens):
        raise DocumentError(
            f"its lists or quotes are nested too deep (about {MAX_NESTING} levels; a list has two)"
        )
    _show_tags_in_text(tokens)
    document = convert_html(str(parser.renderer.render(tokens, parser.options, {})))
    return replace(document, title=title or document.title)


def _reference(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """markdown-it's rule for link definitions, but for footnotes and lines as `[Deadline]: May 1`.

    They look like definitions, of which nothing is shown.
    """
    from markdown_it.rules_block import reference

    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    found = _DEFINITION.match(line)
    if found and (found["label"].startswith("^") or not _ADDRESS.match(found["target"])):
        return False
    return reference(state, start, end, silent)


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """markdown-it's rule for tables, but cells beyond those of the first row stay in the last one.

    It drops them; a `|` in code is what makes most of them.
    """
    from markdown_it.rules_block.table import escapedSplit, table

    first = len(state.tokens)
    found = table(state, start, end, silent)
    columns = 0
    cells: list[Token] = []
    for token in state.tokens[first:]:
        if token.type == "tr_open":
            cells = []
        elif token.type == "inline":
            cells.append(token)
        elif token.type == "tr_close" and cells[0].map:
            columns = columns or len(cells)
            line = cells[0].map[0]
            row = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip()
            beyond = escapedSplit(row.removeprefix("|"))[columns:]
            cells[-1].content = " | ".join(filter(str.strip, [cells[-1].content, *beyond]))
    return found


def _show_tags_in_text(tokens: Sequence[Token]) -> None:
    """Make text of tags that are meant as text: `Avoid the <script> tag`, `List<String>`.

    They have no end tag and would hide what follows, or are no elements of HTML and would vanish.
    """
    _show_unclosed(token for token in tokens if token.type == "html_block")
    for token in tokens:
        _show_unclosed(child for child in token.children or () if child.type == "html_inline")


def _show_unclosed(tokens: Iterable[Token]) -> None:
    closed: set[str] = set()
    for token in reversed(list(tokens)):
        shown = set()
        for tag in reversed(list(_TAG.finditer(token.content))):
            name = tag["name"].lower()
            if tag["end"]:
                closed.add(name)
            elif name in closed:
                continue
            elif name in _HIDES_TEXT or not (tag["empty"] or _is_element(name)):
                shown.add(tag.start())
        token.content = _escaped(token.content, shown)


def _escaped(content: str, tags: Collection[int]) -> str:
    """The content with those tags as text that begin at these positions."""
    return _TAG.sub(lambda tag: "&lt;" + tag[0][1:] if tag.start() in tags else tag[0], content)


def _is_element(name: str) -> bool:
    from lxml.html.defs import tags

    return name in tags or name in _NEWER_ELEMENTS


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
