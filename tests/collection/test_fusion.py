"""Fusion: the formulas of Qdrant and Pyserini, with ties ordered by id."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import models
from qdrant_client.hybrid.fusion import distribution_based_score_fusion, reciprocal_rank_fusion

from rdr_qdrant import connect
from rdr_qdrant.collection import Fusion
from rdr_qdrant.collection.fusion import Scored, by_score
from rdr_qdrant.errors import UsageError

ID = "00000000-0000-0000-0000-00000000000a"


def some_lists(seed: int) -> tuple[list[Scored], list[Scored]]:
    drawn = random.Random(seed)
    ids = range(30)

    def one(least: int) -> list[Scored]:
        found = drawn.sample(ids, drawn.randint(least, 20))
        return by_score([(point_id, drawn.uniform(-5, 30)) for point_id in found])

    return one(0), one(0)


def as_points(scored: list[Scored]) -> list[models.ScoredPoint]:
    return [models.ScoredPoint(id=one, version=0, score=score) for one, score in scored]


@pytest.mark.parametrize("seed", range(20))
def test_the_scores_are_those_of_qdrant_client(seed: int) -> None:
    dense, bm25 = some_lists(seed)
    lists = [as_points(dense), as_points(bm25)]
    expected = reciprocal_rank_fusion(lists, limit=50, ranking_constant_k=7, weights=[1.0, 0.4])
    fused = dict(Fusion("rrf", (1.0, 0.4), k=7).fuse(dense, bm25))
    assert fused == pytest.approx({point.id: point.score for point in expected})
    lists = [as_points(dense), as_points(bm25)]
    expected = distribution_based_score_fusion(lists, limit=50)
    fused = dict(Fusion("dbsf").fuse(dense, bm25))
    assert fused == pytest.approx({point.id: point.score for point in expected})


def test_the_scores_are_those_of_the_engine(tmp_path: Path) -> None:
    client = connect(path=tmp_path)
    client.create_collection(
        "c",
        vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT),
        sparse_vectors_config={"s": models.SparseVectorParams()},
    )
    generator = np.random.default_rng(0)
    client.upsert(
        "c",
        [
            models.PointStruct(
                id=number,
                vector={
                    "": generator.normal(size=4).tolist(),
                    "s": models.SparseVector(indices=[0, 1], values=generator.uniform(size=2)),
                },
            )
            for number in range(40)
        ],
    )
    questions = [([0.3, 0.1, -0.5, 1.0], ""), (models.SparseVector(indices=[0], values=[1]), "s")]
    searches = [
        models.Prefetch(query=query, using=using or None, limit=15) for query, using in questions
    ]
    dense, bm25 = (
        [
            (p.id, p.score)
            for p in client.query_points("c", one.query, using=one.using, limit=15).points
        ]
        for one in searches
    )
    for method, query in (
        ("dbsf", models.FusionQuery(fusion=models.Fusion.DBSF)),
        ("rrf", models.FusionQuery(fusion=models.Fusion.RRF)),
    ):
        found = client.query_points("c", query, prefetch=searches, limit=40).points
        ours = Fusion(method).fuse(dense, bm25)  # type: ignore[arg-type]
        assert dict(ours) == pytest.approx({p.id: p.score for p in found}, abs=1e-5)
    client.close()


def test_linear_gives_the_lowest_score_where_a_list_lacks_a_passage() -> None:
    fused = Fusion("linear", (1.0, 0.5)).fuse([(1, 70.0), (2, 60.0)], [(2, 8.0), (3, 6.0)])
    assert fused == [(1, 70 + 3.0), (2, 60 + 4.0), (3, 60 + 3.0)]


def test_ties_are_ordered_by_id() -> None:
    for dense, bm25 in (
        ([(7, 1.0), (3, 1.0), (ID, 1.0)], []),
        ([], [(ID, 1.0), (7, 1.0), (3, 1.0)]),
    ):
        for method in ("dbsf", "linear"):
            fused = Fusion(method).fuse(dense, bm25)  # type: ignore[arg-type]
            assert [one for one, _ in fused] == [3, 7, ID]
    assert [one for one, _ in Fusion("rrf").fuse([(9, 1.0)], [(4, 1.0)])] == [4, 9]


def test_a_list_without_weight_adds_nothing() -> None:
    dense, bm25 = [(1, 2.0), (2, 1.0)], [(2, 9.0), (1, 3.0)]
    for method in ("dbsf", "rrf", "linear"):
        fused = Fusion(method, (1.0, 0.0)).fuse(dense, bm25)  # type: ignore[arg-type]
        assert [one for one, _ in fused] == [1, 2]


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="no fusion 'max'. Known: dbsf, rrf, linear"):
        Fusion("max")  # type: ignore[arg-type]
    for weights in ((1.0,), (1.0, -1.0), (1.0, float("nan")), (float("inf"), 1.0)):
        with pytest.raises(UsageError, match="two numbers of at least 0"):
            Fusion(weights=weights)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="must be at least 1"):
        Fusion("rrf", k=0)
