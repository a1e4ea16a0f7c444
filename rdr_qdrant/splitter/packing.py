"""Packing sentences into parts of a text, each within the limits and none a scrap.

A part takes sentences for as long as they fit. What then is smaller than half a part is joined to
its neighbour, which may so hold half as many words again as a part should, but never more tokens
than the encoder reads; where these do not fit together, the two are divided evenly. Only a sentence
that is too long for a part, or that an even division needs, is cut: at a clause, else
at a line's end, else at a word.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from rdr_qdrant.splitter.sentences import (
    character_spans,
    clause_spans,
    line_spans,
    sentence_spans,
    word_spans,
)

SMALLEST_SHARE = 0.5
"""Of a part's words (or tokens): what is smaller is joined to a neighbour."""
LARGEST_SHARE = 1.5
"""Of a part's words, after that."""
PIECE_TOKENS = 16
"""Tokens of a piece of a word that is too long."""


class Level(IntEnum):
    """How fine a unit is."""

    ITEM = 0
    SENTENCE = 1
    CLAUSE = 2
    LINE = 3
    WORD = 4
    PIECE = 5


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of text that is not cut unless it must be.

    Attributes:
        start: its first character.
        end: the character after its last.
        words: whitespace-separated words.
        tokens: tokens; of a `PIECE` at least as many as there are.
        level: how fine it is.
        glued: no white space stands before it, so that its first word is the last one's end.
        heading: it is a heading.
    """

    start: int
    end: int
    words: int
    tokens: int
    level: Level
    glued: bool = False
    heading: bool = False


class Units:
    """Makes and divides the units of one text.

    Args:
        text: the text.
        count_tokens: tokens of some whitespace-separated words.
    """

    def __init__(self, text: str, count_tokens: Callable[[Sequence[str]], int]) -> None:
        self._text = text
        self._count_tokens = count_tokens

    def unit(self, start: int, end: int, level: Level, *, heading: bool = False) -> Unit:
        """The unit `text[start:end]`."""
        words = self._text[start:end].split()
        if level is Level.PIECE:
            tokens = len(unicodedata.normalize("NFD", self._text[start:end]))
        else:
            tokens = self._count_tokens(words)
        glued = start > 0 and not self._text[start - 1].isspace()
        return Unit(start, end, len(words), tokens, level, glued, heading)

    def divide(self, unit: Unit) -> list[Unit]:
        """Its finer units: more than one, unless it is one character."""
        level = unit.level
        while level < Level.PIECE:
            level = Level(level + 1)
            spans = self._spans(unit, level)
            if len(spans) > 1:
                return [self.unit(start, end, level) for start, end in spans]
        return [unit]

    def _spans(self, unit: Unit, level: Level) -> list[tuple[int, int]]:
        text, start, end = self._text, unit.start, unit.end
        if level is Level.SENTENCE:
            return list(sentence_spans(text, start, end))
        if level is Level.CLAUSE:
            return clause_spans(text, start, end)
        if level is Level.LINE:
            return line_spans(text, start, end)
        if level is Level.WORD:
            return word_spans(text, start, end)
        return character_spans(text, start, end, PIECE_TOKENS)


@dataclass(frozen=True, slots=True)
class Limits:
    """The size of a part.

    Attributes:
        words: most words.
        tokens: most tokens; `None` without a limit.
    """

    words: int
    tokens: int | None = None

    def share(self, words: int, tokens: int) -> float:
        """How much of a part that is: 1.0 fills it."""
        share = words / self.words
        return max(share, tokens / self.tokens) if self.tokens else share

    def may_be_joined(self, words: int, tokens: int) -> bool:
        """True if a part of that size may come of joining a small one to its neighbour."""
        fits = self.tokens is None or tokens <= self.tokens
        return fits and words < LARGEST_SHARE * self.words


class PackedPart:
    """Units in a row."""

    __slots__ = ("tokens", "units", "words")

    def __init__(self, units: Iterable[Unit] = ()) -> None:
        self.units: list[Unit] = []
        self.words = self.tokens = 0
        for unit in units:
            self.add(unit)

    def add(self, unit: Unit) -> None:
        """Add a unit at the end."""
        self.words = self.words_with(unit)
        self.tokens += unit.tokens
        self.units.append(unit)

    def words_with(self, unit: Unit) -> int:
        """Its words with one more unit."""
        return self.words + unit.words - (unit.glued and bool(self.units))

    def __add__(self, other: PackedPart) -> PackedPart:
        return PackedPart(self.units + other.units)


def pack_units(
    units: Iterable[Unit], limits: Limits, divide: Callable[[Unit], list[Unit]]
) -> Iterator[PackedPart]:
    """Pack the units of a text into parts, in their order.

    Args:
        units: sentences, items and headings.
        limits: the size of a part.
        divide: `Units.divide`.
    """
    previous: PackedPart | None = None
    for part in _fill(units, limits, divide):
        if previous is None:
            previous = part
            continue
        smaller = min(limits.share(one.words, one.tokens) for one in (previous, part))
        if smaller >= SMALLEST_SHARE:
            yield previous
            previous = part
        elif limits.may_be_joined((both := previous + part).words, both.tokens):
            previous = both
        else:
            first, previous = _divide_evenly(both.units, limits, divide)
            yield first
    if previous is not None:
        yield previous


def _fill(
    units: Iterable[Unit], limits: Limits, divide: Callable[[Unit], list[Unit]]
) -> Iterator[PackedPart]:
    """Parts that take units for as long as they fit; a heading begins one, if it is not small."""
    part = PackedPart()
    source = iter(units)
    waiting: deque[Unit] = deque()
    while True:
        unit = waiting.popleft() if waiting else next(source, None)
        if unit is None:
            break
        if limits.share(unit.words, unit.tokens) > 1:
            finer = divide(unit)
            if len(finer) > 1:
                waiting.extendleft(reversed(finer))
                continue
        full = limits.share(part.words_with(unit), part.tokens + unit.tokens) > 1
        if part.units and (full or (unit.heading and _is_half_full(part, limits))):
            last = _last_headings(part.units)
            yield PackedPart(part.units[:last])
            part = PackedPart(part.units[last:])
        part.add(unit)
    if part.units:
        yield part


def _is_half_full(part: PackedPart, limits: Limits) -> bool:
    return limits.share(part.words, part.tokens) >= SMALLEST_SHARE


def _last_headings(units: Sequence[Unit]) -> int:
    """The position of the headings that units end with; their end if they are all there is."""
    position = len(units)
    while position and units[position - 1].heading:
        position -= 1
    return position or len(units)


def _divide_evenly(
    units: list[Unit], limits: Limits, divide: Callable[[Unit], list[Unit]]
) -> tuple[PackedPart, PackedPart]:
    """Divide units into two parts, neither of them small; cut a unit only if that needs it."""
    while True:
        position = _best_boundary(units, limits)
        if position is not None:
            return PackedPart(units[:position]), PackedPart(units[position:])
        middle = _middle(units, limits)
        finer = divide(units[middle])
        if len(finer) == 1:
            position = max(1, middle)
            return PackedPart(units[:position]), PackedPart(units[position:])
        units[middle : middle + 1] = finer


def _best_boundary(units: Sequence[Unit], limits: Limits) -> int | None:
    """The position at which two parts are most alike and within the limits, or `None`."""
    whole, part = PackedPart(units), PackedPart()
    best: tuple[float, int] | None = None
    for position, unit in enumerate(units[:-1], start=1):
        part.add(unit)
        right_words = whole.words - part.words + units[position].glued
        sizes = (part.words, part.tokens), (right_words, whole.tokens - part.tokens)
        left, right = (limits.share(*size) for size in sizes)
        if unit.heading or min(left, right) < SMALLEST_SHARE:
            continue
        if all(limits.may_be_joined(*size) for size in sizes) and (
            best is None or abs(left - right) < best[0]
        ):
            best = abs(left - right), position
    return best[1] if best else None


def _middle(units: Sequence[Unit], limits: Limits) -> int:
    """The unit that the middle of them lies in."""
    half = sum(limits.share(unit.words, unit.tokens) for unit in units) / 2
    for number, unit in enumerate(units):
        half -= limits.share(unit.words, unit.tokens)
        if half <= 0:
            return number
    return len(units) - 1
