"""Batches of inputs of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rdr_qdrant.encoding.token_ids import IntArray


def length_sorted_batches(
    lengths: Sequence[int] | IntArray, max_tokens: int
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


def filled_batches(lengths: IntArray, max_tokens: int) -> Iterator[list[int]]:
    """Yield the positions of inputs that are not padded in batches, the longest inputs first.

    A batch has at most `max_tokens` tokens, and at most twice as many once padded to its longest
    input; a single input longer than that is a batch of its own. Every position occurs exactly
    once.
    """
    order = np.argsort(-lengths, kind="stable")
    ends = np.cumsum(lengths[order], dtype=np.int64)
    start = tokens_before = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        end = int(np.searchsorted(ends, tokens_before + max_tokens, side="right"))
        end = max(start + 1, min(end, start + 2 * max_tokens // longest))
        yield order[start:end].tolist()
        start, tokens_before = end, int(ends[end - 1])
