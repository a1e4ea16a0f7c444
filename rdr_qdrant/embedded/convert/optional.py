"""What is not given stays not given."""

from collections.abc import Callable
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def if_given(value: A | None, make: Callable[[A], B]) -> B | None:
    """`make(value)`, or None for None."""
    return None if value is None else make(value)
