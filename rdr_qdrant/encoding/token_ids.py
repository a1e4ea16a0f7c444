"""Token ids of several inputs, one after another in one array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int32]]


@dataclass(frozen=True)
class TokenIds:
    """Token ids of n inputs, t in all.

    Attributes:
        ids: int32 [t], the ids of the inputs one after another.
        lengths: int32 [n], the number of ids of each input.
    """

    ids: IntArray
    lengths: IntArray

    @classmethod
    def concatenate(cls, sequences: Iterable[Sequence[int]]) -> Self:
        """Return the ids of sequences, each from `[CLS]` to the last `[SEP]`."""
        # one by one: a long call into NumPy would keep other threads from running
        arrays = [np.fromiter(sequence, np.int32, len(sequence)) for sequence in sequences]
        lengths = np.array([len(array) for array in arrays], dtype=np.int32)
        return cls(np.concatenate(arrays) if arrays else np.empty(0, np.int32), lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def select(self, inputs: Sequence[int]) -> Self:
        """Return the ids of some of the inputs, in the order of `inputs`; not copied if a slice."""
        first, count = inputs[0] if len(inputs) else 0, len(inputs)
        if list(inputs) == list(range(first, first + count)):
            start, end = self.offsets[[first, first + count]].tolist()
            return type(self)(self.ids[start:end], self.lengths[first : first + count])
        starts = self.offsets[:-1][inputs]
        lengths = self.lengths[inputs]
        chosen = type(self)(np.empty(0, np.int32), lengths)
        shifts = np.repeat(starts - chosen.offsets[:-1], lengths)
        ids = self.ids[shifts + np.arange(len(shifts), dtype=np.int32)]
        return type(self)(ids, lengths)

    @property
    def offsets(self) -> IntArray:
        """Index of the first id of each input, and t: int32 [n + 1]."""
        offsets = np.zeros(len(self.lengths) + 1, dtype=np.int32)
        np.cumsum(self.lengths, out=offsets[1:])
        return offsets

    @property
    def positions(self) -> IntArray:
        """Position of each id in its input, from 0: int32 [t]."""
        every = np.arange(len(self.ids), dtype=np.int32)
        return every - np.repeat(self.offsets[:-1], self.lengths)

    def padded(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return the ids as int64 [n, longest], zero where there is none, and where there is one.

        The second is bool [n, longest].
        """
        mask = np.arange(self.lengths.max()) < self.lengths[:, None]
        ids = np.zeros(mask.shape, dtype=np.int64)
        ids[mask] = self.ids
        return ids, mask
