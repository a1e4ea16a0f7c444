"""Whether a text contains an answer, as DPR decides it (`qa_validation.has_answer`, "string")."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import regex

from rdr_qdrant.evaluation.answer_matcher import Unusable, sorted_out

_TOKEN = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]")
"""DPR's SimpleTokenizer: runs of letters, numbers and marks, or one character that is neither
separator nor control."""

_BETWEEN = "\x00"
"""Stands between tokens; a control character, so never inside one."""

_SIGMA = "Σ"
"""The one character whose lower case depends on its neighbours."""


class StringAnswers:
    """The answers of one question, to be looked for token by token.

    Attributes:
        usable: those that are looked for.
        unusable: those that are not, with reasons; one without a token would be found everywhere.
    """

    def __init__(self, answers: Iterable[object]) -> None:
        strings, self.unusable = sorted_out(answers)
        self.usable: list[str] = []
        self._wanted: list[tuple[str, str]] = []
        for answer in strings:
            form = matchable(answer)
            if form == _BETWEEN:
                self.unusable.append(Unusable(answer, "an answer has no token to look for"))
            else:
                self.usable.append(answer)
                self._wanted.append((max(form.split(_BETWEEN), key=len), form))

    def found_in(self, text: str) -> bool:
        """Whether the tokens of one of the answers stand in the text, contiguous and in order.

        Few texts hold even the longest token of an answer, as any substring; only those are cut
        into tokens, which takes most of the time.
        """
        text = unicodedata.normalize("NFD", text)
        forms = [form for _, form in self._wanted]
        if _SIGMA not in text:
            lowered = text.lower()
            forms = [form for longest, form in self._wanted if longest in lowered]
        if not forms:
            return False
        whole = matchable(text)
        return any(form in whole for form in forms)


def matchable(text: str) -> str:
    """The text's tokens, NFD-normalised and lower-cased, each between two marks.

    A run of tokens is contiguous in a text just when its form here is a substring of the text's.
    """
    tokens = _TOKEN.findall(unicodedata.normalize("NFD", text))
    return _BETWEEN + "".join(token.lower() + _BETWEEN for token in tokens)


def has_answer(text: str, answers: Iterable[str]) -> bool:
    """Whether the tokens of one of the answers stand in the text, contiguous and in order."""
    return StringAnswers(answers).found_in(text)
