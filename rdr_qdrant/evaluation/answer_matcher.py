"""What a question's answers are to whoever looks for them, in either way of matching."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

MatchType = Literal["string", "regex"]
"""`string`: an answer's tokens (all data sets but one); `regex`: an answer is a pattern
(CuratedTREC)."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """An answer that is not, or not any longer, looked for.

    Attributes:
        answer: as it was given.
        reason: why, in words.
    """

    answer: object
    reason: str


class Answers(Protocol):
    """The answers of one question.

    Attributes:
        usable: those that are looked for.
        unusable: those that are not; looking may add to them.
    """

    usable: list[str]
    unusable: list[Unusable]

    def found_in(self, text: str) -> bool:
        """Whether the text contains one of the usable answers."""


def sorted_out(answers: Iterable[object]) -> tuple[list[str], list[Unusable]]:
    """Answers that are strings with something in them, and the others.

    Raises:
        TypeError: one string in place of several.
    """
    if isinstance(answers, str):
        raise TypeError(f"answers must be a list of strings, not the string {answers!r}")
    usable: list[str] = []
    unusable: list[Unusable] = []
    for answer in answers:
        if not isinstance(answer, str):
            unusable.append(Unusable(answer, "an answer is not a string"))
        elif not answer.strip():
            unusable.append(Unusable(answer, "an answer is empty"))
        else:
            usable.append(answer)
    return usable, unusable
