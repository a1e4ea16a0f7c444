"""A uniform random sample of a stream of unknown length."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Reservoir(Generic[T]):
    """Keeps `size` of the things offered, each with the same chance (Vitter 1985, algorithm R).

    Attributes:
        items: those kept so far.
    """

    def __init__(self, size: int) -> None:
        self.items: list[T] = []
        self._size = size
        self._seen = 0
        self._random = random.Random()

    def offer(self, make: Callable[[], T]) -> None:
        """Offer one thing; it is made only if it is kept."""
        self._seen += 1
        if len(self.items) < self._size:
            self.items.append(make())
        elif (place := self._random.randrange(self._seen)) < self._size:
            self.items[place] = make()
