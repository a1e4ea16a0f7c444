"""Relevance in [0, 1] and maximal marginal relevance, for raw inner products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rdr_qdrant.encoding import FloatArray


def relevance(score: float, typical: float) -> float:
    """A raw inner product as a relevance: in [0, 1], and in the same order.

    It is 0.5 where the inner product is 0, and 0.75 where it is `typical`. The stock formula for
    inner products, 1 - score, falls as similarity rises and leaves [0, 1].

    Args:
        score: any finite number.
        typical: product of the lengths of a question's and a passage's vector, above 0.
    """
    return 0.5 + 0.5 * score / (typical + abs(score))


def marginal_relevance(
    scores: Sequence[float], vectors: FloatArray, question: FloatArray, k: int, lambda_mult: float
) -> list[int]:
    """Indices of the `k` passages that are relevant and unlike each other (Carbonell 1998).

    Each next one has the highest `lambda_mult * relevance - (1 - lambda_mult) * likeness`. The
    vectors are not normalised, so both are put on one scale: relevance is the inner product over
    the question's length and the longest passage's, which keeps its order; likeness is the
    highest cosine to a passage that was taken already.

    Args:
        scores: raw inner products with the question, best first.
        vectors: the passages', float32 [n, dim].
        question: float32 [dim].
        k: how many to take.
        lambda_mult: 1 for relevance alone, 0 for difference alone.
    """
    if not len(scores):
        return []
    lengths = np.linalg.norm(vectors, axis=1)
    relevances = np.asarray(scores) / max(float(np.linalg.norm(question) * lengths.max()), 1e-30)
    units = vectors / np.maximum(lengths, 1e-30)[:, None]
    taken = [0]
    likeness = units @ units[0]
    while len(taken) < min(k, len(scores)):
        worth = lambda_mult * relevances - (1 - lambda_mult) * likeness
        worth[taken] = -np.inf
        taken.append(int(worth.argmax()))
        likeness = np.maximum(likeness, units @ units[taken[-1]])
    return taken
