"""The ends of sentences, by `sentencex` (Wikimedia), and places to cut one that is too long."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import sentencex

LANGUAGE = "en"
"""Rules of `sentencex`; the marks that end a sentence are those of all scripts in any language, the
abbreviations are those of English."""
MAX_CHARACTERS_AT_ONCE = 2000
"""Longest text given to `sentencex`, whose time is quadratic in a paragraph's length. A sentence is
cut here at the latest; it would be cut anyway, being far longer than a passage."""

_PARAGRAPH_BREAK = re.compile(r"\n[^\S\n]*\n\s*")
_CLAUSE_END = re.compile(
    r"(?<=[,;:)\]\u2013\u2014\u061b\u060c\u0f0d\u104a])\s+|(?<=\S)\s+(?=[(\[\u2013\u2014])"
    r"|(?<=[\u3001\uff0c\uff1b\uff1a\uff09\u300d\u300f])"
)
_LINE_END = re.compile(r"\n")
_WORD = re.compile(r"\S+")
_CLOSING = re.compile(r"""(?<=\S)[)\]}*_"'\u2019\u201d\u00bb]+(?=\s|\Z)""")
_NUMBER = re.compile(r"\s*(?:\d{1,3}(?:\.\d{1,3})*|[IVXLC]{1,7}|[^\W\d_])\.\s*")
"""Of an item or a heading, as in `2.1. Rivers` or `1.)`."""


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield start and end of each sentence of `text[start:end]`, without white space around it.

    An empty line ends a sentence as well. The time is linear in the length of any text.
    """
    end = len(text) if end is None else end
    for match in _PARAGRAPH_BREAK.finditer(text, start, end):
        yield from _spans_of_paragraph(text, start, match.start())
        start = match.end()
    yield from _spans_of_paragraph(text, start, end)


def clause_spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The clauses of `text[start:end]`: what stands between commas, colons, dashes, brackets."""
    return _between(_CLAUSE_END, text, start, end)


def line_spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The lines of `text[start:end]`."""
    return _between(_LINE_END, text, start, end)


def word_spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The whitespace-separated words of `text[start:end]`."""
    return [match.span() for match in _WORD.finditer(text, start, end)]


def character_spans(text: str, start: int, end: int, size: int) -> list[tuple[int, int]]:
    """Pieces of about `size` characters of a word; marks stay with the letter before them."""
    spans = []
    while start < end:
        stop = min(start + size, end)
        while stop < end and unicodedata.category(text[stop]).startswith("M"):
            stop += 1
        spans.append((start, stop))
        start = stop
    return spans


def _spans_of_paragraph(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        stop = min(start + MAX_CHARACTERS_AT_ONCE, end)
        spans = [
            (start + found["start_index"], start + found["end_index"])
            for found in sentencex.get_sentence_boundaries(LANGUAGE, text[start:stop])
        ]
        spans = _whole_sentences(text, spans)
        if stop < end:
            if len(spans) > 1:
                spans.pop()  # it may continue
            else:
                spans = [(start, _last_space(text, start, stop))]
        for first, last in spans:
            if stripped := _strip(text, first, last):
                yield stripped
        start = spans[-1][1] if spans else stop


def _whole_sentences(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sentences with the number before them and the marks that close them.

    `sentencex` takes a number for a sentence, and puts unpaired marks into the next one.
    """
    kept: list[tuple[int, int]] = []
    for first, last in spans:
        if kept and _NUMBER.fullmatch(text, *kept[-1]):
            first = kept.pop()[0]
        elif kept and kept[-1][1] == first and (marks := _CLOSING.match(text, first, last)):
            first = marks.end()
            kept.append((kept.pop()[0], first))
        if first < last:
            kept.append((first, last))
    return kept


def _last_space(text: str, start: int, stop: int) -> int:
    """The start of the last word before `stop`; `stop` if it is the only one."""
    for position in range(stop - 1, start, -1):
        if text[position].isspace():
            return position + 1
    return stop


def _between(separator: re.Pattern[str], text: str, start: int, end: int) -> list[tuple[int, int]]:
    spans = []
    for match in separator.finditer(text, start, end):
        if stripped := _strip(text, start, match.start()):
            spans.append(stripped)
        start = match.end()
    if stripped := _strip(text, start, end):
        spans.append(stripped)
    return spans


def _strip(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The span without white space at its ends, or `None` if nothing is left."""
    piece = text[start:end]
    kept = piece.strip()
    if not kept:
        return None
    first = start + len(piece) - len(piece.lstrip())
    return first, first + len(kept)
