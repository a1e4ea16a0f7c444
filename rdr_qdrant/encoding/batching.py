"""Batches of inputs of similar length, so that little is padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np


def length_sorted_batches(
    lengths: Sequence[int] | np.ndarray[Any, np.dtype[np.int32]], max_tokens: int
) -> Iterator[list[int]]:
    """Yield the positions of the inputs in batches, the longest inputs first.

    A batch has at most `max_tokens` tokens once padded to its longest input; a single input longer
    than that is a batch of its own. Every position occurs exactly once.
    """
    lengths = np.asarray(lengths)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        size = max(1, max_tokens // longest)
        yield order[start : start + size].tolist()
        start += size
