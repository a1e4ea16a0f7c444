"""Answers that are regular expressions (CuratedTREC), as DPR matches them ("regex").

Patterns come from a file, so one that is wrong, endless or huge must cost its question no more than
itself: it counts as not found, and is told.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

import regex

from rdr_qdrant.evaluation.answer_matcher import Unusable, sorted_out

SECONDS_A_SEARCH = 1.0
"""A sound pattern needs microseconds for a passage; one that needs this long never ends."""

MOST_ITEMS = 100_000
"""Of a pattern with its repeats written out, as `regex` compiles it (about 300 bytes each)."""

_FLAGS = regex.IGNORECASE | regex.UNICODE | regex.MULTILINE
_COUNT = regex.compile(r"\{(\d+)(?:,\d*)?\}")


class PatternAnswers:
    """The patterns of one question, to be searched in NFD-normalised texts, whatever their case.

    Attributes:
        usable: those that are looked for.
        unusable: those that are not, with reasons. A pattern that runs too long joins them and is
            not tried again.
    """

    def __init__(self, answers: Iterable[object]) -> None:
        strings, self.unusable = sorted_out(answers)
        self._patterns = {answer: self._compiled(answer) for answer in strings}
        self.usable = [answer for answer, pattern in self._patterns.items() if pattern]

    def found_in(self, text: str) -> bool:
        """Whether one of the patterns matches anywhere in the text."""
        text = unicodedata.normalize("NFD", text)
        return any(self._search(answer, text) for answer in self.usable)

    def _compiled(self, answer: str) -> Any:
        pattern = unicodedata.normalize("NFD", answer)
        if written_out(pattern) > MOST_ITEMS:
            self._give_up(answer, "an answer is a pattern whose repeats are too many")
            return None
        try:
            return regex.compile(pattern, _FLAGS)
        except Exception as error:  # as DPR; RecursionError and OverflowError are among them
            self._give_up(answer, f"an answer is not a valid pattern: {error}")
            return None

    def _search(self, answer: str, text: str) -> bool:
        pattern = self._patterns[answer]
        try:
            return bool(pattern and pattern.search(text, timeout=SECONDS_A_SEARCH))
        except (TimeoutError, MemoryError):
            reason = f"an answer is a pattern that does not end within {SECONDS_A_SEARCH:g} s"
            self._give_up(answer, reason)
            self._patterns[answer] = None
            return False

    def _give_up(self, answer: str, reason: str) -> None:
        self.unusable.append(Unusable(answer, reason))


def written_out(pattern: str) -> int:
    """How many items a pattern has when each `{n}` is written out n times, nested ones too.

    Compiling takes time and memory in proportion: `((a{1000}){1000}){1000}` would take all there
    is.
    """
    groups = [0]
    last = position = 0
    while position < len(pattern):
        character = pattern[position]
        step = 1
        if count := _COUNT.match(pattern, position):
            groups[-1] += last * max(int(count[1]) - 1, 0)
            last *= int(count[1]) or 1
            step = len(count[0])
        elif character == "(":
            groups.append(0)
            last = 0
        elif character == ")" and len(groups) > 1:
            last = groups.pop() + 1
            groups[-1] += last
        else:
            if character == "\\":
                step = 2
            elif character == "[":
                step = max(pattern.find("]", position + 2), position) - position + 1
            last = 1
            groups[-1] += 1
        position += step
    return sum(groups)
