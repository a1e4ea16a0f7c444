"""Undo what typesetting does to the text of pages: ligatures, leaders, hyphens, headers."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

MOST_RUNNING_LINES = 3
"""Lines of a header, and of a footer, that are looked for on each page."""
NEARBY_PAGES = 4
"""How far apart pages with the same header may be; chapters have their own."""
LONGEST_RUNNING_LINE = 200
"""Characters of a header or footer."""

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
_AMOUNT = re.compile(r"\d[.,]\d\d(?![\d.])")
"""Of money; several invoices may have the same total."""


def undo_layout(pages: Sequence[str]) -> list[str]:
    """Return the pages with whole words and without what repeats at their edges.

    - A ligature becomes its letters, and a leader of dots becomes three.
    - A word divided at a line's end is joined if the text has it undivided elsewhere, since a
      hyphen may be its own (`well-known`); at a soft hyphen it is joined in any case.
    - A header or footer goes: a first or last line that three pages nearby share but for a number
      that counts the pages, or four of five left or right ones without one. The first of each
      stays, unless it is a number alone.
    - A page has one number: one that stands alone, else that of its footer, else of its header.
    - A line that stands within pages as often as at their edges, such as a refrain, is text.
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
    body = _body_lines(lines)
    offsets: dict[int, int | None] = {}  # of the pages whose number is found
    for edge in (-1, 0):
        alone = ["" if _WORD.search(line) else line for line in _lines_at(edge, lines, body)]
        for page, patterns in _running_lines(alone, {}):
            offsets.setdefault(page, patterns[0][1])
    for edge in (-1, 0):
        for _ in range(MOST_RUNNING_LINES):
            seen: set[Pattern] = set()
            for page, patterns in _running_lines(_lines_at(edge, lines, body), offsets):
                if seen.intersection(patterns) or not _WORD.search(patterns[0][0]):
                    del lines[page][edge]
                    lines[page] = "\n".join(lines[page]).strip().splitlines()
                seen.update(patterns)
                if patterns[-1][1] is not None:
                    offsets.setdefault(page, patterns[-1][1])
    return ["\n".join(page) for page in lines]


def _body_lines(lines: Iterable[Sequence[str]]) -> set[str]:
    """Return the lines with words that stand within pages no less often than at their edges."""
    within: Counter[str] = Counter()
    for page in lines:
        inner = slice(MOST_RUNNING_LINES, -MOST_RUNNING_LINES)
        within.update(page[inner])
        within.subtract(page[: inner.start])
        within.subtract(page[inner.start :][inner.stop :])
    return {line.strip() for line, count in within.items() if count >= 0 and _WORD.search(line)}


def _lines_at(edge: int, lines: Iterable[Sequence[str]], body: Container[str]) -> list[str]:
    """Return the first or last line of each page; instead of one of the body, an empty one."""
    found = (page[edge].strip() if page else "" for page in lines)
    return ["" if line in body else line for line in found]


def _running_lines(
    lines: Sequence[str], offsets: Mapping[int, int | None]
) -> Iterator[tuple[int, list[Pattern]]]:
    """Yield the pages whose line is a header or footer, each with the patterns that it shares."""
    pages_of: dict[Pattern, set[int]] = defaultdict(set)
    patterns = [list(_patterns(line, page, offsets.get(page))) for page, line in enumerate(lines)]
    for page, found in enumerate(patterns):
        for pattern in found:
            pages_of[pattern].add(page)
    for page, found in enumerate(patterns):
        if running := [one for one in found if _runs_on(one, pages_of[one], page, len(lines) - 1)]:
            yield page, running


def _runs_on(pattern: Pattern, pages: Container[int], page: int, last: int) -> bool:
    """Return whether enough pages near this one have the pattern too.

    A number beyond the last page's counts pages only if it stands on left or right pages alone;
    it may be that of an invoice.
    """
    line, offset = pattern
    nearby = range(page - NEARBY_PAGES, page + NEARBY_PAGES + 1)
    same_side = [one in pages for one in nearby[::2] if 0 <= one <= last]
    if offset is None:
        return sum(same_side) >= max(3, len(same_side) - 1)
    other_side = sum(one in pages for one in nearby[1::2])
    if other_side and page + offset > last + 1 and _WORD.search(line):
        return False
    return sum(same_side) + other_side >= 3


def _patterns(line: str, page: int, known: int | None) -> Iterator[Pattern]:
    """Yield what a line has in common with the same header on another page.

    The line itself, unless it has an amount, and the line with each of its
    numbers as an offset to the page's; only the known offset if the page's number stands alone.
    """
    if len(line) > LONGEST_RUNNING_LINE:
        return
    has_words = _WORD.search(line)
    if has_words and not _AMOUNT.search(line):
        yield line, None
    for match in _NUMBER.finditer(line):
        offset = int(match[0]) - page
        if known is None or (offset == known and not has_words):
            yield f"{line[: match.start()]}#{line[match.end() :]}", offset
