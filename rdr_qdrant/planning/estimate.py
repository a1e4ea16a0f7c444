"""A number of the plan, with the arithmetic that it came from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number.

    Attributes:
        name: of what.
        value: bytes or seconds.
        arithmetic: how it was made, in figures.
        source: where its constants are from.
        estimate: whether it rests on an assumption, not only on what is given and measured.
    """

    name: str
    value: float
    arithmetic: str
    source: str
    estimate: bool = True


def size(count: float) -> str:
    """Bytes as people say them, in units of 1,000."""
    for unit, power in (("TB", 4), ("GB", 3), ("MB", 2), ("kB", 1)):
        if count >= 1000**power:
            return f"{count / 1000**power:,.1f} {unit}"
    return f"{count:,.0f} B"


def total(name: str, parts: tuple[Quantity, ...], factor: float = 1.0) -> Quantity:
    """The sum of some parts, times a number of copies."""
    terms = " + ".join(f"{part.name} {size(part.value)}" for part in parts) or "nothing"
    copies = "" if factor == 1 else f" x {factor:g}"
    return Quantity(
        name,
        factor * sum(part.value for part in parts),
        f"({terms}){copies}" if copies else terms,
        "the parts",
    )
