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

    def offer(self, make: Callable[[], T]) -> Sampled[T] | None:
        """Offer an item; it is made, and returned with its priority, only if it is kept for now."""
        priority = self._random.random()
        with self._lock:
            if len(self._heap) >= self._size and priority <= self._heap[0].priority:
                return None
        sampled = Sampled(priority, make())
        self.merge([sampled])
        return sampled

    def merge(self, others: Iterable[Sampled[T]]) -> None:
        """Merge what another reservoir of this size kept of other items."""
        with self._lock:
            for sampled in others:
                if len(self._heap) < self._size:
                    heapq.heappush(self._heap, sampled)
                else:
                    heapq.heappushpop(self._heap, sampled)
