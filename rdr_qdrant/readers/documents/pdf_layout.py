"""Undo what typesetting does to the text of pages: ligatures, leaders, hyphens, headers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Sequence
from typing import TypeAlias

MOST_RUNNING_LINES = 3
"""Lines of a header, and of a footer, that are looked for on each page."""
NEARBY_PAGES = 4
"""How far apart pages with the same header may be; chapters have their own."""
LONGEST_RUNNING_LINE = 200
"""Characters of a header or footer that are compared."""

Pattern: TypeAlias = tuple[str, "int | None"]
"""A line, and `None`; or the line without a number, and its offset to the page's."""

_LIGATURES = {
    0xFB00: "ff",
    0xFB01: "fi",
    0xFB02: "fl",
    0xFB03: "ffi",
    0xFB04: "ffl",
    0xFB05: "st",
    0xFB06: "st",
}
"""The Latin ones of Unicode, which no word of an encoder's vocabulary has."""
_LEADER = re.compile(r"\.(?:[^\S\n]?\.){5,}")
"""Of a table of contents; each of its dots would count as a word."""
_SOFT_HYPHEN = re.compile("(?<=[^\\W\\d_])\u00ad[^\\S\n]*\n[^\\S\n]*(?=[^\\W\\d_])")
"""At a line's end; elsewhere it is a hyphen, since a page shows it."""
_DIVIDED_WORD = re.compile(r"(?<![^\W\d_])([^\W\d_]+)-[^\S\n]*\n[^\S\n]*([^\W\d_]+)")
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"(?<!\d)(?!0\d)\d{1,6}(?!\d)")
"""That may count pages; one with a leading zero counts other things."""
MOST_PAGES = 999_999
"""Largest number of a page."""
_DIGIT = re.compile(r"\d")
_SENTENCE_END = re.compile(r"[.,:;!?][^\w\s]*\Z")


def undo_layout(pages: Sequence[str]) -> list[str]:
    """Return the pages with whole words and without what repeats at their edges.

    - A ligature becomes its letters, and a leader of dots becomes three.
    - A word divided at a line's end is joined if the text has it undivided elsewhere, since a
      hyphen may be its own (`well-known`); at a soft hyphen it is joined in any case.
    - A header or footer goes: a first or last line that three pages nearby share but for a number
      that counts the pages, or four of five left or right ones without one. The first of each
      stays, unless it is a number alone.
    """
    pages = [page.translate(_LIGATURES) for page in pages]
    pages = [_SOFT_HYPHEN.sub("", page).replace("\u00ad", "-") for page in pages]
    pages = _without_running_lines([_LEADER.sub("...", page) for page in pages])
    words = {word for page in pages for word in _WORD.findall(page)}

    def join(match: re.Match[str]) -> str:
        joined = match[1] + match[2]
        return joined if joined in words or joined.lower() in words else match[0]

    return [_DIVIDED_WORD.sub(join, page) for page in pages]


def _without_running_lines(pages: Sequence[str]) -> list[str]:
    lines = [page.splitlines() for page in pages]
    numbered: set[int] = set()  # pages whose number was found: another counts other things

    def number_patterns(line: str, page: int) -> Iterator[Pattern]:
        return _number_patterns(line, page, 0 if page in numbered else MOST_PAGES)

    def header_patterns(line: str, page: int) -> Iterator[Pattern]:
        return _header_patterns(line, page, 0 if page in numbered else len(pages))

    for _ in range(MOST_RUNNING_LINES):
        for patterns_of in (number_patterns, header_patterns):
            for edge in (-1, 0):
                numbered |= _remove_running_lines(lines, edge, patterns_of)
    return ["\n".join(page) for page in lines]


def _number_patterns(line: str, page: int, largest: int) -> Iterator[Pattern]:
    """Yield what a page's number has in common with others: `- # -`, and its offset."""
    if not _WORD.search(line):
        yield from _numbered_patterns(line, page, largest)


def _header_patterns(line: str, page: int, largest: int) -> Iterator[Pattern]:
    """Yield what a header has in common with others: its words, or those beside its number.

    A sentence's end is none, nor is a line with a number that does not count pages, such as a sum.
    """
    if _WORD.search(line) and not _SENTENCE_END.search(line):
        if not _DIGIT.search(line):
            yield line, None
        yield from _numbered_patterns(line, page, largest)


def _numbered_patterns(line: str, page: int, largest: int) -> Iterator[Pattern]:
    for match in _NUMBER.finditer(line):
        if int(match[0]) <= largest:
            yield f"{line[: match.start()]}#{line[match.end() :]}", int(match[0]) - page


def _remove_running_lines(
    lines: Sequence[list[str]], edge: int, patterns_of: Callable[[str, int], Iterator[Pattern]]
) -> set[int]:
    """Remove lines with patterns that pages nearby share; returns the pages numbered by them."""
    pages_of: dict[Pattern, set[int]] = defaultdict(set)
    patterns: list[list[Pattern]] = []
    for number, page in enumerate(lines):
        line = page[edge].strip() if page else ""
        patterns.append(list(patterns_of(line[:LONGEST_RUNNING_LINE], number)))
        for pattern in patterns[-1]:
            pages_of[pattern].add(number)
    numbered = set()
    seen: set[Pattern] = set()
    for number, page in enumerate(lines):
        running = [one for one in patterns[number] if _runs_on(one, pages_of[one], number, lines)]
        if running:
            if running[-1][1] is not None:
                numbered.add(number)
            if seen.intersection(running) or not _WORD.search(running[0][0]):
                del page[edge]
                page[:] = "\n".join(page).strip().splitlines()
        seen.update(running)
    return numbered


def _runs_on(pattern: Pattern, pages: Container[int], page: int, lines: Sequence[object]) -> bool:
    """Return whether enough pages near this one have the pattern too."""
    nearby = range(page - NEARBY_PAGES, page + NEARBY_PAGES + 1)
    if pattern[1] is not None:
        return sum(one in pages for one in nearby) >= 3
    same_side = [one in pages for one in nearby[::2] if 0 <= one < len(lines)]
    return sum(same_side) >= max(3, len(same_side) - 1)
