"""A uniform random sample of a stream of unknown length, or of several streams together."""

from __future__ import annotations

import heapq
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class Sampled(Generic[T]):
    """An item with its random priority."""

    priority: float
    item: T = field(compare=False)


class Reservoir(Generic[T]):
    """Keeps `size` of the items offered, each with the same probability.

    Each item gets a random priority, and the highest stay (Efraimidis and Spirakis 2006, equal
    weights), so that samples of several streams merge into a sample of all. Thread-safe.
    """

    def __init__(self, size: int) -> None:
        self._heap: list[Sampled[T]] = []
        self._size = size
        self._random = random.Random()
        self._lock = threading.Lock()

    @property
    def items(self) -> list[T]:
        """The items kept so far."""
        return [sampled.item for sampled in self._heap]

    def offer(self, count: int, make: Callable[[int], T]) -> list[Sampled[T]]:
        """Offer items; those that are kept for now are made, and returned with their priorities.

        Args:
            count: how many.
            make: makes an item by its number, from 0.
        """
        with self._lock:
            lowest = self._heap[0].priority if len(self._heap) == self._size else -1.0
        drawn = [(self._random.random(), number) for number in range(count)]
        higher = [one for one in drawn if one[0] > lowest]
        kept = [
            Sampled(priority, make(number))
            for priority, number in heapq.nlargest(self._size, higher)
        ]
        self.merge(kept)
        return kept

    def merge(self, others: Iterable[Sampled[T]]) -> None:
        """Merge what another reservoir of this size kept of other items."""
        with self._lock:
            for sampled in others:
                if len(self._heap) < self._size:
                    heapq.heappush(self._heap, sampled)
                else:
                    heapq.heappushpop(self._heap, sampled)
