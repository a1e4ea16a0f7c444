"""Markdown (CommonMark, with tables), by way of HTML."""

from __future__ import annotations

import re
from typing import BinaryIO

from rdr_qdrant.readers.documents import html
from rdr_qdrant.readers.documents.document import Document
from rdr_qdrant.readers.documents.text import decoded

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(
    r"""^title:[ \t]*(?P<quote>["']?)(?P<title>.+?)(?P=quote)[ \t]*\r?$""", re.MULTILINE
)


def read(stream: BinaryIO) -> Document:
    """Its text without the markup; its title is the front matter's, else the first heading."""
    from markdown_it import MarkdownIt

    source = decoded(stream.read())
    title = ""
    if matter := _FRONT_MATTER.match(source):
        source = source[matter.end() :]
        if found := _TITLE.search(matter[1]):
            title = found["title"]
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    page = html.parse(markdown.render(source))
    return Document(title or page.title, page.pages)
