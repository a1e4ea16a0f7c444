"""What is lost by searching through the index instead of comparing with every point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rdr_qdrant.collection import ScoredPassage


@dataclass(frozen=True, slots=True)
class ExactComparison:
    """Search through the index against exact search, by depth k.

    Attributes:
        overlap: percent of exact search's best k passages that the index finds among its best k.
        recall: answer recall of exact search, percent.
        difference: answer recall through the index minus that of exact search, in percentage
            points; below zero is a loss.
    """

    overlap: dict[int, float]
    recall: dict[int, float]
    difference: dict[int, float]

    def to_json(self) -> dict[str, Any]:
        """The three, their keys as text."""
        return {
            name: {str(k): value for k, value in getattr(self, name).items()}
            for name in ("overlap", "recall", "difference")
        }


@dataclass
class Overlap:
    """Adds up how much of exact search the index finds."""

    k: Sequence[int]
    _sums: dict[int, float] = field(default_factory=dict)
    _questions: int = 0

    def add(self, found: Sequence[ScoredPassage], exact: Sequence[ScoredPassage]) -> None:
        """One question's passages from both, best first."""
        self._questions += 1
        for depth in self.k:
            wanted = {hit.passage.id for hit in exact[:depth]}
            both = wanted & {hit.passage.id for hit in found[:depth]}
            part = len(both) / len(wanted) if wanted else 1.0
            self._sums[depth] = self._sums.get(depth, 0.0) + part

    def percent(self) -> dict[int, float]:
        """The mean over the questions, by depth, with two decimals."""
        return {depth: round(100 * self._sums[depth] / self._questions, 2) for depth in self.k}


def compared(
    recall: dict[int, float], exact_recall: dict[int, float], overlap: Overlap
) -> ExactComparison:
    """Put together; the differences are those of the figures as they are shown."""
    return ExactComparison(
        overlap=overlap.percent(),
        recall=exact_recall,
        difference={k: round(recall[k] - exact_recall[k], 2) for k in recall},
    )
