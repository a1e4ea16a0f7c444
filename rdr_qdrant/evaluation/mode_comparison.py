"""Compares search modes over the same questions, with intervals of their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rdr_qdrant.evaluation.bootstrap import BootstrapInterval, paired_difference

PerQuestion = Mapping[str, npt.NDArray[np.float64]]
"""By name of a measure one value per question, float64 [questions]."""


@dataclass(frozen=True)
class ModeComparison:
    """Measures of several modes; each is compared with the first.

    Attributes:
        values: by mode, its measures.
    """

    values: Mapping[str, PerQuestion]

    def differences(self) -> dict[str, dict[str, BootstrapInterval]]:
        """Return by pair of modes (`bm25 - dense`) and measure the mean difference."""
        (first, base), *others = self.values.items()
        return {
            f"{mode} - {first}": {
                name: paired_difference(column, base[name]) for name, column in columns.items()
            }
            for mode, columns in others
        }

    def to_json(self) -> dict[str, Any]:
        """Return `modes`, the means, and `differences`, each with the bounds of 95 %."""
        return {
            "modes": {
                mode: {name: round(float(column.mean()), 4) for name, column in columns.items()}
                for mode, columns in self.values.items()
            },
            "differences": {
                pair: {
                    name: {
                        "mean": round(d.mean, 4),
                        "low": round(d.low, 4),
                        "high": round(d.high, 4),
                    }
                    for name, d in columns.items()
                }
                for pair, columns in self.differences().items()
            },
        }


def difference_table(
    comparison: ModeComparison, header: Sequence[str], decimals: int
) -> tuple[list[str], list[list[str]]]:
    """Lay out the differences as a table; returns header and rows.

    Args:
        comparison: the modes.
        header: titles of the measures.
        decimals: of the numbers.
    """
    rows = []
    for pair, columns in comparison.differences().items():
        intervals = columns.values()
        rows.append([pair, *(f"{one.mean:+.{decimals}f}" for one in intervals)])
        rows.append(["  95 % from", *(f"{one.low:+.{decimals}f}" for one in intervals)])
        rows.append(["  95 % to", *(f"{one.high:+.{decimals}f}" for one in intervals)])
    return ["difference", *header], rows


def hits_at(first_hits: Sequence[int | None], k: Sequence[int]) -> PerQuestion:
    """Return by k, for each question, 100 if its first hit is in the top k, else 0."""
    ranks = np.array([np.inf if hit is None else hit for hit in first_hits])
    return {str(depth): np.where(ranks < depth, 100.0, 0.0) for depth in k}
