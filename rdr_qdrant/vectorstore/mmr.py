"""Relevance scores in [0, 1] and maximal marginal relevance (MMR), for raw inner products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rdr_qdrant.encoding import FloatArray


def relevance_score(score: float, typical: float) -> float:
    """Map a raw inner product to a relevance in [0, 1], keeping the order.

    An inner product of 0 gives 0.5; `typical` gives 0.75. LangChain's own formula for inner
    products, 1 - score, decreases with similarity and leaves [0, 1].

    Args:
        score: any finite number.
        typical: product of the norms of a question vector and a passage vector; positive.
    """
    return 0.5 + 0.5 * score / (typical + abs(score))


def select_mmr(
    scores: Sequence[float], vectors: FloatArray, question: FloatArray, k: int, lambda_mult: float
) -> list[int]:
    """Select `k` passages by maximal marginal relevance (Carbonell and Goldstein 1998).

    Each step takes the passage with the highest
    `lambda_mult * relevance - (1 - lambda_mult) * similarity`. RDR's vectors are not normalised,
    so both are put on one scale: relevance is the inner product divided by the norms of the
    question and of the longest passage, which keeps the order; similarity is the highest cosine
    to a passage selected before.

    Args:
        scores: raw inner products with the question, best first.
        vectors: of the passages, float32 [n, dim].
        question: float32 [dim].
        k: number of passages to select.
        lambda_mult: 1 for relevance only, 0 for diversity only.

    Returns:
        Indices of the selected passages, in the order of their selection.
    """
    if not len(scores):
        return []
    norms = np.linalg.norm(vectors, axis=1)
    relevances = np.asarray(scores) / max(float(np.linalg.norm(question) * norms.max()), 1e-30)
    units = vectors / np.maximum(norms, 1e-30)[:, None]
    selected = [0]
    similarity = units @ units[0]
    while len(selected) < min(k, len(scores)):
        marginal = lambda_mult * relevances - (1 - lambda_mult) * similarity
        marginal[selected] = -np.inf
        selected.append(int(marginal.argmax()))
        similarity = np.maximum(similarity, units @ units[selected[-1]])
    return selected
