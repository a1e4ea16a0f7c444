"""Relevance scores and MMR, compared with their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdr_qdrant.vectorstore.mmr import relevance_score, select_mmr

SCORES = st.floats(-1e6, 1e6)


@given(SCORES, SCORES, st.floats(1e-3, 1e4))
def test_relevance_stays_in_range_and_in_order(one: float, two: float, typical: float) -> None:
    low, high = (relevance_score(score, typical) for score in sorted((one, two)))
    assert 0 <= low <= high <= 1


def test_relevance_separates_real_scores() -> None:
    """RDR's inner products are about 60 to 90."""
    scores = np.linspace(-90, 90, 1801)
    values = [relevance_score(score, 150.0) for score in scores]
    assert np.diff(values).min() > 1e-5
    assert relevance_score(0, 150.0) == 0.5
    assert relevance_score(150, 150.0) == 0.75


@pytest.mark.parametrize("lambda_mult", [0.0, 0.3, 0.7, 1.0])
def test_mmr_selects_greedily(lambda_mult: float) -> None:
    random = np.random.default_rng(1)
    vectors = random.normal(size=(12, 5)).astype(np.float32) * random.uniform(1, 9, (12, 1))
    question = random.normal(size=5)
    vectors = vectors[np.argsort(-(vectors @ question))]
    scores = vectors @ question

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    longest = max(np.linalg.norm(vector) for vector in vectors)
    expected = [0]
    while len(expected) < 6:
        marginal = {
            i: lambda_mult * scores[i] / (np.linalg.norm(question) * longest)
            - (1 - lambda_mult) * max(cosine(vectors[i], vectors[j]) for j in expected)
            for i in range(12)
            if i not in expected
        }
        expected.append(max(marginal, key=lambda i: marginal[i]))
    assert select_mmr(list(scores), vectors, question, 6, lambda_mult) == expected
    if lambda_mult == 1:
        assert expected == [0, 1, 2, 3, 4, 5]


def test_fewer_passages_than_k() -> None:
    none = np.empty((0, 3), dtype=np.float32)
    assert select_mmr([], none, np.ones(3), 4, 0.5) == []
    zeros = np.zeros((2, 3), dtype=np.float32)
    assert select_mmr([0.0, 0.0], zeros, np.zeros(3), 4, 0.5) == [0, 1]
