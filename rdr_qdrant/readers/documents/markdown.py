"""Markdown (CommonMark with tables), converted by way of HTML."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import BinaryIO

from rdr_qdrant.readers.documents.document import ConvertedDocument
from rdr_qdrant.readers.documents.html import convert_html
from rdr_qdrant.readers.documents.text import decode_text

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(
    r"""^title:[ \t]*(?P<quote>["']?)(?P<title>.+?)(?P=quote)[ \t]*\r?$""", re.MULTILINE
)


def convert(stream: BinaryIO) -> ConvertedDocument:
    """Return the text without markup; the title is the front matter's, else the first heading."""
    from markdown_it import MarkdownIt

    source = decode_text(stream.read())
    title = ""
    if front_matter := _FRONT_MATTER.match(source):
        source = source[front_matter.end() :]
        if match := _TITLE.search(front_matter[1]):
            title = match["title"]
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    document = convert_html(parser.render(source))
    return replace(document, title=title or document.title)
