"""Batches of inputs of like length, so that little is padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def length_sorted_batches(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Positions of the inputs, the longest first, in batches of at most `max_tokens` once padded.

    A single input longer than `max_tokens` is a batch of its own. Every position comes once.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    start = 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        size = max(1, max_tokens // longest)
        yield order[start : start + size]
        start += size
