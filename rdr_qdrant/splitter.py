"""Split long text into passages of a number of words, as DPR split Wikipedia into blocks of 100."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from rdr_qdrant.passages import Passage

_WORD = re.compile(r"\S+")


def split_passage(passage: Passage, words: int) -> Iterator[Passage]:
    """Split a passage after every `words` whitespace-separated words.

    The parts get the ids `ID#1`, `ID#2` and so on, and keep title, metadata and the white space
    within them. Only white space between parts is dropped.

    Args:
        passage: what to split.
        words: most words in a part.

    Raises:
        ValueError: `words` is below 1.
    """
    for number, (start, end) in enumerate(word_spans(passage.text, words), start=1):
        yield replace(passage, id=f"{passage.id}#{number}", text=passage.text[start:end])


def word_spans(text: str, words: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each part of at most `words` words.

    Raises:
        ValueError: `words` is below 1.
    """
    if words < 1:
        raise ValueError(f"words must be at least 1, not {words}")
    start = end = count = 0
    for word in _WORD.finditer(text):
        if count == words:
            yield start, end
            count = 0
        if count == 0:
            start = word.start()
        end = word.end()
        count += 1
    if count:
        yield start, end
