"""Batches of inputs of similar length, so that little is padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def length_sorted_batches(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Yield the positions of the inputs in batches, the longest inputs first.

    A batch has at most `max_tokens` tokens once padded to its longest input; a single input longer
    than that is a batch of its own. Every position occurs exactly once.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    start = 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        size = max(1, max_tokens // longest)
        yield order[start : start + size]
        start += size
