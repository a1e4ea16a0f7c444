"""DPR's way: blocks of a number of words, as it split Wikipedia into blocks of 100."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORD = re.compile(r"\S+")


def word_block_spans(text: str, words: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each block of `words` whitespace-separated words."""
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
