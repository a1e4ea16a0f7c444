"""Compares search through the approximate index with exact search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rdr_qdrant.collection import ScoredPassage


@dataclass(frozen=True, slots=True)
class ExactComparison:
    """Results of the index compared with exact search, by k.

    Attributes:
        overlap: percentage of exact search's top k passages that are in the index's top k.
        recall: answer recall of exact search, in percent.
        difference: answer recall of the index minus that of exact search, both as rounded, in
            percentage points; negative is a loss.
    """

    overlap: dict[int, float]
    recall: dict[int, float]
    difference: dict[int, float]

    def to_json(self) -> dict[str, Any]:
        """Return the three attributes, their keys as strings."""
        return {
            name: {str(k): value for k, value in getattr(self, name).items()}
            for name in ("overlap", "recall", "difference")
        }


@dataclass
class OverlapCounter:
    """Sums up, over questions, how many of exact search's passages the index finds."""

    k: Sequence[int]
    _sums: dict[int, float] = field(default_factory=dict)
    _questions: int = 0

    def add(self, approximate: Sequence[ScoredPassage], exact: Sequence[ScoredPassage]) -> None:
        """Count one question's passages of both searches, best first."""
        self._questions += 1
        for depth in self.k:
            expected = {hit.passage.id for hit in exact[:depth]}
            common = expected & {hit.passage.id for hit in approximate[:depth]}
            share = len(common) / len(expected) if expected else 1.0
            self._sums[depth] = self._sums.get(depth, 0.0) + share

    def percent(self) -> dict[int, float]:
        """Return the mean over the questions, by k, rounded to two decimals."""
        return {depth: round(100 * self._sums[depth] / self._questions, 2) for depth in self.k}
