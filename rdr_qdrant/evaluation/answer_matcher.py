"""Decides whether a text contains one of a question's answers, as DPR does.

DPR has two kinds of answers (`qa_validation.has_answer`): strings, compared token by token, and
regular expressions (CuratedTREC).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import regex

MatchType = Literal["string", "regex"]
"""`string`: an answer is text, compared by tokens; `regex`: an answer is a pattern."""

SEARCH_TIMEOUT_SECONDS = 1.0
"""Most patterns search a passage in microseconds; one that takes this long backtracks for ever."""

MAX_PATTERN_ITEMS = 100_000
"""Most items of a pattern with its repeats expanded; `regex` compiles each to about 300 bytes."""

_TOKEN = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]")
"""DPR's SimpleTokenizer: a run of letters, numbers and marks, or one character that is neither a
separator nor a control character."""

_DELIMITER = "\x00"
"""Stands between tokens; a control character, so never inside one."""

_SIGMA = "Σ"
"""The one character whose lower case depends on its neighbours."""

_PATTERN_FLAGS = regex.IGNORECASE | regex.UNICODE | regex.MULTILINE
_REPEAT = regex.compile(r"\{(\d+)(?:,\d*)?\}")


@dataclass(frozen=True, slots=True)
class UnusableAnswer:
    """An answer that cannot be searched for.

    Attributes:
        answer: the value given.
        reason: why it cannot be searched for.
    """

    answer: object
    reason: str


class AnswerMatcher(Protocol):
    """Searches texts for the answers of one question.

    Attributes:
        usable: the answers searched for.
        unusable: the other answers, with reasons. A search may move a pattern here.
    """

    usable: list[str]
    unusable: list[UnusableAnswer]

    def matches(self, text: str) -> bool:
        """Return whether the text contains one of the usable answers."""


def make_matcher(answers: Iterable[object], match: MatchType = "string") -> AnswerMatcher:
    """Build the matcher for a question's answers.

    Raises:
        TypeError: a single string in place of a list; each of its letters would be an answer.
        ValueError: an unknown match type.
    """
    if match == "string":
        return StringMatcher(answers)
    if match == "regex":
        return RegexMatcher(answers)
    raise ValueError(f"match must be 'string' or 'regex', not {match!r}")


class StringMatcher:
    """Searches for answers token by token.

    An answer without a token is unusable: it would match every text.
    """

    def __init__(self, answers: Iterable[object]) -> None:
        strings, self.unusable = _split_usable(answers)
        self.usable: list[str] = []
        self._wanted: list[tuple[str, str]] = []
        for answer in strings:
            form = token_form(answer)
            if form == _DELIMITER:
                self.unusable.append(UnusableAnswer(answer, "an answer has no token"))
            else:
                self.usable.append(answer)
                self._wanted.append((max(form.split(_DELIMITER), key=len), form))

    def matches(self, text: str) -> bool:
        """Return whether an answer's tokens are a contiguous run of the text's tokens.

        Tokenizing takes most of the time. It is skipped for a text that does not contain the
        longest token of any answer as a substring, which is true of most texts.
        """
        text = unicodedata.normalize("NFD", text)
        forms = [form for _, form in self._wanted]
        if _SIGMA not in text:
            lowered = text.lower()
            forms = [form for longest, form in self._wanted if longest in lowered]
        if not forms:
            return False
        text_form = token_form(text)
        return any(form in text_form for form in forms)


class RegexMatcher:
    """Searches NFD-normalised texts for patterns, ignoring case.

    Patterns come from a file. An invalid, huge or endless one costs its question no more than
    itself: it counts as not found and is listed in `unusable`. A pattern that runs into the
    timeout is not tried again.
    """

    def __init__(self, answers: Iterable[object]) -> None:
        strings, self.unusable = _split_usable(answers)
        self._patterns = {answer: self._compile(answer) for answer in strings}
        self.usable = [answer for answer, pattern in self._patterns.items() if pattern]

    def matches(self, text: str) -> bool:
        """Return whether one of the patterns matches anywhere in the text."""
        text = unicodedata.normalize("NFD", text)
        return any(self._search(answer, text) for answer in self.usable)

    def _compile(self, answer: str) -> Any:
        pattern = unicodedata.normalize("NFD", answer)
        if expanded_size(pattern) > MAX_PATTERN_ITEMS:
            self._reject(answer, "an answer is a pattern with too many repeats")
            return None
        try:
            return regex.compile(pattern, _PATTERN_FLAGS)
        except Exception as error:  # as DPR does; RecursionError and OverflowError are among them
            self._reject(answer, f"an answer is not a valid pattern: {error}")
            return None

    def _search(self, answer: str, text: str) -> bool:
        pattern = self._patterns[answer]
        try:
            return bool(pattern and pattern.search(text, timeout=SEARCH_TIMEOUT_SECONDS))
        except (TimeoutError, MemoryError):
            seconds = f"{SEARCH_TIMEOUT_SECONDS:g} s"
            self._reject(answer, f"an answer is a pattern that does not end within {seconds}")
            self._patterns[answer] = None
            return False

    def _reject(self, answer: str, reason: str) -> None:
        self.unusable.append(UnusableAnswer(answer, reason))


def token_form(text: str) -> str:
    """Join the text's tokens, NFD-normalised and lower-cased, each between two delimiters.

    Tokens are a contiguous run of a text's tokens exactly if their form is a substring of the
    text's form.
    """
    tokens = _TOKEN.findall(unicodedata.normalize("NFD", text))
    return _DELIMITER + "".join(token.lower() + _DELIMITER for token in tokens)


def expanded_size(pattern: str) -> int:
    """Count a pattern's items with each `{n}` written out n times, nested ones too.

    The time and memory to compile a pattern grow with it: `((a{1000}){1000}){1000}` would use up
    all memory.
    """
    groups = [0]
    last = position = 0
    while position < len(pattern):
        character = pattern[position]
        step = 1
        if count := _REPEAT.match(pattern, position):
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


def _split_usable(answers: Iterable[object]) -> tuple[list[str], list[UnusableAnswer]]:
    """Separate non-blank strings from everything else."""
    if isinstance(answers, str):
        raise TypeError(f"answers must be a list of strings, not the string {answers!r}")
    usable: list[str] = []
    unusable: list[UnusableAnswer] = []
    for answer in answers:
        if not isinstance(answer, str):
            unusable.append(UnusableAnswer(answer, "an answer is not a string"))
        elif not answer.strip():
            unusable.append(UnusableAnswer(answer, "an answer is empty"))
        else:
            usable.append(answer)
    return usable, unusable
