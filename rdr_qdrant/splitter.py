"""Long text cut into passages of a number of words, as DPR cut Wikipedia into blocks of 100."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from rdr_qdrant.passages import Passage

_WORD = re.compile(r"\S+")


def split_passage(passage: Passage, words: int) -> Iterator[Passage]:
    """Cut at every `words`-th whitespace-separated word, within this passage only.

    The parts are `ID#1`, `ID#2` ...; title and metadata are kept, and so is the white space inside
    a part. Nothing but white space between parts is left out.

    Raises:
        ValueError: `words` is below 1.
    """
    for number, (start, end) in enumerate(spans(passage.text, words), start=1):
        yield replace(passage, id=f"{passage.id}#{number}", text=passage.text[start:end])


def spans(text: str, words: int) -> Iterator[tuple[int, int]]:
    """Where each part of so many words starts and ends.

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
