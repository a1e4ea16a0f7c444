"""Whether a text contains an answer, as DPR decides it (`qa_validation.has_answer`)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import regex

_TOKEN = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]")
"""DPR's SimpleTokenizer: runs of letters, numbers and marks, or one character that is neither
separator nor control."""

_BETWEEN = "\x00"
"""Stands between tokens; a control character, so never inside one."""


def matchable(text: str) -> str:
    """The text's tokens, NFD-normalised and lower-cased, each between two marks.

    A run of tokens is contiguous in a text just when its form here is a substring of the text's.
    """
    tokens = _TOKEN.findall(unicodedata.normalize("NFD", text))
    return _BETWEEN + "".join(token.lower() + _BETWEEN for token in tokens)


def matchable_answers(answers: Iterable[str]) -> list[str]:
    """The answers that can be looked for; one without any token would be found everywhere.

    Raises:
        TypeError: one string in place of several, whose letters would each count as an answer.
    """
    if isinstance(answers, str):
        raise TypeError(f"answers must be a list of strings, not the string {answers!r}")
    forms = (matchable(answer) for answer in answers)
    return [form for form in forms if form != _BETWEEN]


def has_answer(text: str, answers: Iterable[str]) -> bool:
    """Whether the tokens of one of the answers stand in the text, contiguous and in order."""
    form = matchable(text)
    return any(answer in form for answer in matchable_answers(answers))
