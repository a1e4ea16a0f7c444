"""Every kind of query ranks the same points with the same scores in every store."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant.embedded import EmbeddedQdrant, NotSupportedError
from tests.embedded.conftest import compared_with_memory
from tests.embedded.corpus import DIM, id_of, points_of, vectors_of

COUNT = 80
VECTOR = vectors_of(1, seed=77)[0].tolist()
OTHER = vectors_of(1, seed=78)[0].tolist()
HIGH = models.Filter(must=models.FieldCondition(key="number", range=models.Range(gte=3)))
Refused = Callable[..., Any]


def _fill(client: QdrantClient, name: str, distance: models.Distance) -> QdrantClient:
    client.create_collection(name, models.VectorParams(size=DIM, distance=distance))
    client.upsert(name, points_of(COUNT))
    return client


def _same(client: QdrantClient, name: str, reference: QdrantClient, **asked: Any) -> list[Any]:
    """The answer, after checking that it is the reference's."""
    mine = client.query_points(name, **asked).points
    theirs = reference.query_points("reference", **asked).points
    assert [p.id for p in mine] == [p.id for p in theirs]
    assert [p.score for p in mine] == pytest.approx([p.score for p in theirs], abs=1e-4)
    assert [p.payload for p in mine] == [p.payload for p in theirs]
    return mine


@pytest.fixture(params=list(models.Distance), ids=str)
def pair(request: pytest.FixtureRequest, client: QdrantClient, name: str) -> Any:
    """A filled store and the filled reference, for each distance."""
    reference = _fill(QdrantClient(":memory:"), "reference", request.param)
    return _fill(client, name, request.param), name, reference


@compared_with_memory
def test_nearest_points(pair: Any) -> None:
    assert len(_same(*pair, query=VECTOR)) == 10
    assert len(_same(*pair, query=np.array(VECTOR, dtype=np.float32), limit=200)) == COUNT
    _same(*pair, query=VECTOR, limit=5, offset=7, query_filter=HIGH)
    _same(*pair, query=VECTOR, with_payload=["word"], search_params=models.SearchParams(hnsw_ef=99))


@compared_with_memory
def test_a_threshold_cuts_by_score(pair: Any) -> None:
    every = _same(*pair, query=VECTOR, limit=COUNT)
    middle = (every[20].score + every[21].score) / 2
    assert len(_same(*pair, query=VECTOR, limit=COUNT, score_threshold=middle)) == 21


@compared_with_memory
def test_a_point_id_stands_for_its_vector(pair: Any) -> None:
    for i in (0, 1):
        found = _same(*pair, query=id_of(i), limit=COUNT)
        assert id_of(i) not in [p.id for p in found]
        assert len(found) == COUNT - 1


@compared_with_memory
@pytest.mark.parametrize("strategy", [None, *models.RecommendStrategy])
def test_recommendations(pair: Any, strategy: models.RecommendStrategy | None) -> None:
    asked = models.RecommendInput(
        positive=[id_of(1), VECTOR], negative=[id_of(2)], strategy=strategy
    )
    _same(*pair, query=models.RecommendQuery(recommend=asked))
    alone = models.RecommendInput(positive=[OTHER], strategy=strategy)
    _same(*pair, query=models.RecommendQuery(recommend=alone), query_filter=HIGH)


@compared_with_memory
def test_discovery_and_context(pair: Any) -> None:
    context = [models.ContextPair(positive=id_of(3), negative=id_of(4))]
    discover = models.DiscoverInput(target=VECTOR, context=context)
    _same(*pair, query=models.DiscoverQuery(discover=discover))
    client, name, reference = pair
    asked = {"query": models.ContextQuery(context=context), "limit": COUNT}
    mine = {p.id: p.score for p in client.query_points(name, **asked).points}
    theirs = {p.id: p.score for p in reference.query_points("reference", **asked).points}
    assert mine == pytest.approx(theirs, abs=1e-4)  # many ties at 0, in any order


@compared_with_memory
def test_fusion_of_prefetches(pair: Any) -> None:
    prefetch = [
        models.Prefetch(query=VECTOR, limit=9),
        models.Prefetch(query=OTHER, limit=7, filter=HIGH),
    ]
    for query in (
        models.FusionQuery(fusion=models.Fusion.RRF),
        models.FusionQuery(fusion=models.Fusion.DBSF),
        models.RrfQuery(rrf=models.Rrf(k=60)),
    ):
        client, name, reference = pair
        asked = {"query": query, "prefetch": prefetch, "limit": 30}
        mine = {p.id: p.score for p in client.query_points(name, **asked).points}
        theirs = {p.id: p.score for p in reference.query_points("reference", **asked).points}
        assert mine == pytest.approx(theirs, abs=1e-4)


@compared_with_memory
def test_rescoring_of_a_prefetch(pair: Any) -> None:
    inner = models.Prefetch(query=OTHER, limit=12)
    _same(*pair, query=VECTOR, prefetch=inner)
    _same(*pair, query=VECTOR, prefetch=[inner], query_filter=HIGH, limit=3, offset=1)


@compared_with_memory
def test_formulas(pair: Any) -> None:
    formula = models.SumExpression(
        sum=["$score", models.MultExpression(mult=[0.5, "price"]), models.AbsExpression(abs=-2.0)]
    )
    query = models.FormulaQuery(formula=formula, defaults={"price": 0.0})
    _same(*pair, query=query, prefetch=models.Prefetch(query=VECTOR, limit=20))


@pytest.mark.parametrize(
    "formula",
    [
        models.SumExpression(sum=["$score", "missing"]),
        models.DivExpression(div=models.DivParams(left="$score", right=0.0)),
        models.LnExpression(ln=-1.0),
        models.SqrtExpression(sqrt=-1.0),
    ],
)
def test_a_formula_without_a_number_says_what_may_be_missing(
    embedded: EmbeddedQdrant, formula: Any
) -> None:
    embedded.create_collection("c", models.VectorParams(size=2, distance=models.Distance.DOT))
    embedded.upsert("c", [models.PointStruct(id=1, vector=[1.0, 0.0], payload={"price": 1})])
    prefetch = models.Prefetch(query=[1.0, 1.0], limit=5)
    with pytest.raises(ValueError, match=r"the formula has no number .*defaults.*by_zero_default"):
        embedded.query_points("c", prefetch=prefetch, query=models.FormulaQuery(formula=formula))


@compared_with_memory
def test_mmr_returns_diverse_points(pair: Any) -> None:
    query = models.NearestQuery(nearest=VECTOR, mmr=models.Mmr(diversity=0.5, candidates_limit=30))
    client, name, reference = pair
    mine = client.query_points(name, query=query, limit=8).points
    theirs = reference.query_points("reference", query=query, limit=8).points
    assert [p.id for p in mine] == [p.id for p in theirs]
    assert all(p.vector is None for p in mine)


@compared_with_memory
def test_batches_answer_each_request(pair: Any) -> None:
    client, name, reference = pair
    requests = [
        models.QueryRequest(query=VECTOR, limit=3),
        models.QueryRequest(query=OTHER, limit=4, filter=HIGH, with_payload=True),
        models.QueryRequest(query=id_of(5), limit=2, with_vector=True),
    ]
    mine = client.query_batch_points(name, requests)
    theirs = reference.query_batch_points("reference", requests)
    assert [[p.id for p in one.points] for one in mine] == [
        [p.id for p in one.points] for one in theirs
    ]
    assert mine[0].points[0].payload is None
    assert mine[1].points[0].payload
    assert len(mine[2].points[0].vector) == DIM


@compared_with_memory
def test_without_a_query_the_first_points_are_returned(pair: Any) -> None:
    client, name, reference = pair
    mine = client.query_points(name, limit=7, query_filter=HIGH).points
    theirs = reference.query_points("reference", limit=7, query_filter=HIGH).points
    assert [p.id for p in mine] == [p.id for p in theirs]


@compared_with_memory
def test_sparse_vectors_and_hybrid_search(client: QdrantClient, name: str) -> None:
    reference = QdrantClient(":memory:")
    rng = np.random.default_rng(3)
    points = []
    for i in range(40):
        indices = sorted(rng.choice(30, size=5, replace=False).tolist())
        sparse = models.SparseVector(indices=indices, values=rng.uniform(0.1, 2, 5).tolist())
        points.append(models.PointStruct(id=i, vector={"d": vectors_of(40)[i], "s": sparse}))
    for one, where in ((client, name), (reference, "reference")):
        one.create_collection(
            where,
            {"d": models.VectorParams(size=DIM, distance=models.Distance.COSINE)},
            sparse_vectors_config={"s": models.SparseVectorParams()},
        )
        one.upsert(where, points)
    wanted = models.SparseVector(indices=[1, 5, 9, 20], values=[1.0, 0.5, 2.0, 1.0])
    found = _same(client, name, reference, query=wanted, using="s", limit=8)
    assert 0 < len(found) <= 8
    asked = {
        "query": models.FusionQuery(fusion=models.Fusion.RRF),
        "prefetch": [
            models.Prefetch(query=VECTOR, using="d", limit=10),
            models.Prefetch(query=wanted, using="s", limit=10),
        ],
        "limit": 40,
    }
    mine = {p.id: p.score for p in client.query_points(name, **asked).points}
    theirs = {p.id: p.score for p in reference.query_points("reference", **asked).points}
    assert mine == pytest.approx(theirs, abs=1e-4)
    kept = client.retrieve(name, [3], with_vectors=["s"])[0].vector["s"]
    assert kept.indices == points[3].vector["s"].indices


@compared_with_memory
def test_multivectors(client: QdrantClient, name: str) -> None:
    reference = QdrantClient(":memory:")
    config = models.VectorParams(
        size=4,
        distance=models.Distance.COSINE,
        multivector_config=models.MultiVectorConfig(
            comparator=models.MultiVectorComparator.MAX_SIM
        ),
    )
    for one, where in ((client, name), (reference, "reference")):
        one.create_collection(where, config)
        rows = [vectors_of(1 + i % 3, 4, seed=i) for i in range(20)]
        one.upsert(where, [models.PointStruct(id=i, vector=rows[i].tolist()) for i in range(20)])
    _same(client, name, reference, query=vectors_of(2, 4, seed=99).tolist())


def test_wrong_queries_are_refused(client: QdrantClient, name: str, refused: Refused) -> None:
    _fill(client, name, models.Distance.DOT)
    wrong: list[dict[str, Any]] = [
        {"query": [1.0] * (DIM + 1)},
        {"query": VECTOR, "using": "nowhere"},
        {"query": 4711},
        {"query": VECTOR, "offset": -1},
        {"prefetch": models.Prefetch(query=VECTOR)},
        {"query": models.FusionQuery(fusion=models.Fusion.RRF)},
        {"score_threshold": 0.5},
    ]
    for asked in wrong:
        with refused():
            client.query_points(name, **asked)


@pytest.mark.parametrize("location", ["a", "alias", "other"])
def test_a_point_looked_up_in_the_same_collection_is_left_out(
    embedded: EmbeddedQdrant, location: str
) -> None:
    params = models.VectorParams(size=2, distance=models.Distance.DOT)
    for name in ("a", "other"):
        embedded.create_collection(name, {"v": params, "w": params})
        embedded.upsert(
            name,
            [
                models.PointStruct(id=i, vector={"v": [float(i), 1.0], "w": [1.0, float(i)]})
                for i in range(1, 8)
            ],
        )
    alias = models.CreateAlias(collection_name="a", alias_name="alias")
    embedded.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    lookup = models.LookupLocation(collection=location, vector="w")
    pair = models.ContextPair(positive=5, negative=6)
    nearest_by_mmr = models.NearestQuery(nearest=5, mmr=models.Mmr(diversity=0.1))
    queries: list[tuple[object, set[int]]] = [
        (5, {5}),
        (nearest_by_mmr, {5}),
        (
            models.RecommendQuery(recommend=models.RecommendInput(positive=[5], negative=[6])),
            {5, 6},
        ),
        (models.DiscoverQuery(discover=models.DiscoverInput(target=4, context=[pair])), {4, 5, 6}),
        (models.ContextQuery(context=[pair]), {5, 6}),
    ]
    for query, given in queries:
        expected = set(range(1, 8)) - (set() if location == "other" else given)
        asked = {"query": query, "using": "v", "lookup_from": lookup}
        found = embedded.query_points("a", **asked, limit=10).points
        assert {p.id for p in found} == expected, query
        if query is nearest_by_mmr:  # refused in a prefetch
            continue
        fused = embedded.query_points(
            "a",
            query=models.FusionQuery(fusion=models.Fusion.RRF),
            prefetch=[models.Prefetch(**asked, limit=10)],
            limit=10,
        ).points
        assert {p.id for p in fused} == expected, query


def test_mmr_that_the_engine_would_ignore_is_refused(embedded: EmbeddedQdrant) -> None:
    embedded.create_collection(
        "c",
        {"v": models.VectorParams(size=2, distance=models.Distance.DOT)},
        sparse_vectors_config={"s": models.SparseVectorParams()},
    )
    mmr = models.Mmr(diversity=0.5)
    prefetch = models.Prefetch(query=models.NearestQuery(nearest=[1.0, 2.0], mmr=mmr), using="v")
    with pytest.raises(NotSupportedError, match="`mmr` in a prefetch; give it in the main query"):
        embedded.query_points("c", prefetch=prefetch, query=[1.0, 1.0], using="v")
    sparse = models.SparseVector(indices=[1], values=[1.0])
    with pytest.raises(NotSupportedError, match="`mmr` with sparse vectors; leave it out"):
        embedded.query_points("c", models.NearestQuery(nearest=sparse, mmr=mmr), using="s")


def test_an_offset_takes_no_points_from_a_random_sample(client: QdrantClient, name: str) -> None:
    _fill(client, name, models.Distance.DOT)
    sample = models.SampleQuery(sample=models.Sample.RANDOM)
    assert len(client.query_points(name, sample, limit=COUNT, offset=10).points) == COUNT
