"""Fusion of the dense and the BM25 list of a question into one, the same for every Qdrant.

`dbsf` and `rrf` are Qdrant's own formulas, `linear` is that of Pyserini's hybrid searcher for DPR.
They are computed here, not by the server: ties are then ordered by id, so that the same question
always gets the same answer, and every version offers all of them with weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rdr_qdrant.collection.point_encoding import PointId
from rdr_qdrant.errors import UsageError

Scored = tuple[PointId, float]
FusionMethod = Literal["dbsf", "rrf", "linear"]

FUSION_METHODS: tuple[FusionMethod, ...] = get_args(FusionMethod)
RRF_K = 2
"""Qdrant's default."""
LARGEST_WEIGHT = 1e9
DEVIATIONS = 3.0
"""DBSF maps the mean of a list minus so many standard deviations to 0, plus so many to 1."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """How two lists become one.

    Attributes:
        method: `dbsf` adds scores normalised by the distribution of their list; `rrf` adds
            reciprocal ranks, 1 / ((rank + 1) / weight + k - 1) from rank 0 on; `linear` adds raw
            scores, where a passage that one list lacks gets the lowest score of that list.
        weights: of the dense and of the BM25 list.
        k: of `rrf`; the greater it is, the less the first ranks stand out.

    Raises:
        UsageError: an unknown method, or a number out of its range.
    """

    method: FusionMethod = "dbsf"
    weights: tuple[float, float] = (1.0, 1.0)
    k: int = RRF_K

    def __post_init__(self) -> None:
        if self.method not in FUSION_METHODS:
            known = ", ".join(FUSION_METHODS)
            raise UsageError(f"There is no fusion {self.method!r}. Known: {known}.")
        if not _are_weights(self.weights):
            raise UsageError(
                f"The weights of a fusion are {self.weights!r}: they must be two numbers from 0 to "
                f"{LARGEST_WEIGHT:g}, for the dense and for the BM25 list, and not both 0."
            )
        if type(self.k) is not int or not 1 <= self.k <= LARGEST_WEIGHT:
            raise UsageError(
                f"The k of the fusion rrf is {self.k!r}: it must be an integer of at least 1."
            )

    def fuse(self, dense: Sequence[Scored], bm25: Sequence[Scored]) -> list[Scored]:
        """Return the passages of both lists with their fused scores, best first, ties by id."""
        fused: dict[PointId, float] = dict.fromkeys(one for one, _ in (*dense, *bm25))  # type: ignore[assignment]
        contributions = [
            self._contributions(by_score(one), weight)
            for one, weight in zip((dense, bm25), self.weights, strict=True)
        ]
        for one in fused:
            fused[one] = sum(scores.get(one, missing) for scores, missing in contributions)
        return by_score(list(fused.items()))

    def _contributions(
        self, ranked: Sequence[Scored], weight: float
    ) -> tuple[dict[PointId, float], float]:
        """The addends of a list to the scores of its passages, and that to all others."""
        if not ranked or not weight:
            return {}, 0.0
        if self.method == "rrf":
            ranks = enumerate(ranked, start=1)
            return {one: 1 / (rank / weight + self.k - 1) for rank, (one, _) in ranks}, 0.0
        if self.method == "linear":
            return {one: weight * score for one, score in ranked}, weight * ranked[-1][1]
        low, span = _distribution([score for _, score in ranked])
        return {one: weight * ((s - low) / span if span else 0.5) for one, s in ranked}, 0.0


def _are_weights(weights: Any) -> bool:
    if not isinstance(weights, tuple | list) or len(weights) != 2:
        return False
    numbers = all(isinstance(one, int | float) for one in weights)
    return numbers and all(0 <= one <= LARGEST_WEIGHT for one in weights) and any(weights)


def by_score(scored: Sequence[Scored]) -> list[Scored]:
    """Return points from the highest score to the lowest; ties by id, numbers before UUIDs."""
    return sorted(scored, key=lambda one: (-one[1], isinstance(one[0], str), one[0]))


def _distribution(scores: Sequence[float]) -> tuple[float, float]:
    """The score that DBSF maps to 0, and the distance of the one that it maps to 1."""
    if len(scores) < 2:
        return 0.0, 0.0
    mean = math.fsum(scores) / len(scores)
    deviation = math.sqrt(math.fsum((one - mean) ** 2 for one in scores) / (len(scores) - 1))
    return mean - DEVIATIONS * deviation, 2 * DEVIATIONS * deviation
