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
    """A thing with the number that it drew."""

    number: float
    thing: T = field(compare=False)


class Reservoir(Generic[T]):
    """Keeps `size` of the things offered, each with the same chance.

    Each draws a random number, and the highest numbers stay (Efraimidis and Spirakis 2006, equal
    weights). So the samples of several streams make the sample of all of them. Threads may share
    one.
    """

    def __init__(self, size: int) -> None:
        self._kept: list[Sampled[T]] = []
        self._size = size
        self._random = random.Random()
        self._lock = threading.Lock()

    @property
    def items(self) -> list[T]:
        """Those kept so far."""
        return [drawn.thing for drawn in self._kept]

    def offer(self, make: Callable[[], T]) -> Sampled[T] | None:
        """Offer one thing; it is made, and returned with its number, only if it is kept for now."""
        number = self._random.random()
        with self._lock:
            if len(self._kept) >= self._size and number <= self._kept[0].number:
                return None
        drawn = Sampled(number, make())
        self.merge([drawn])
        return drawn

    def merge(self, others: Iterable[Sampled[T]]) -> None:
        """Take in what another reservoir of this size kept, of other things."""
        with self._lock:
            for drawn in others:
                if len(self._kept) < self._size:
                    heapq.heappush(self._kept, drawn)
                else:
                    heapq.heappushpop(self._kept, drawn)
