"""Malformed input is refused before the engine sees it, and never spoils a collection.

After each operation the collection must be writable, searchable, closable and openable: the
engine logs an operation before it applies it, and replays it when the collection is opened.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from rdr_qdrant.embedded import EmbeddedQdrant, EmbeddedQdrantError
from rdr_qdrant.embedded.errors import translate_engine_errors

NAN, INF = float("nan"), float("inf")
ONES = [1.0] * 4
DENSE = models.VectorParams(size=4, distance=models.Distance.DOT)
MULTI = DENSE.model_copy(
    update={"multivector_config": models.MultiVectorConfig(comparator="max_sim")}
)


def _sparse(indices: Any, values: Any) -> models.SparseVector:
    return models.SparseVector.model_construct(indices=indices, values=values)


def _point(point_id: Any, vector: Any, payload: Any = None) -> models.PointStruct:
    return models.PointStruct.model_construct(id=point_id, vector=vector, payload=payload)


@pytest.fixture
def filled(embedded: EmbeddedQdrant) -> EmbeddedQdrant:
    embedded.create_collection(
        "a", {"d": DENSE, "m": MULTI}, sparse_vectors_config={"s": models.SparseVectorParams()}
    )
    embedded.upsert(
        "a",
        [
            _point(
                i, {"d": [float(i)] * 4, "m": [ONES, ONES], "s": _sparse([i, i + 1], [1.0, 2.0])}
            )
            for i in range(1, 11)
        ],
    )
    return embedded


def _check_unspoilt(client: EmbeddedQdrant, count: int = 11) -> None:
    """Write, search, close, open, read everything."""
    client.upsert("a", [_point(77, {"d": ONES, "s": _sparse([1], [1.0]), "m": [ONES]})])
    client.query_points("a", query=ONES, using="d", limit=50)
    client.query_points("a", query=_sparse([1, 2], [1.0, 1.0]), using="s", limit=50)
    client.close()
    with EmbeddedQdrant(client.path) as again:
        records, _ = again.scroll("a", limit=50, with_vectors=True)
        assert len(records) == again.count("a").count == count
        for record in records:
            assert isinstance(record.vector, dict)
            assert np.isfinite(record.vector["d"]).all()
            sparse = record.vector["s"]
            assert len(sparse.indices) == len(sparse.values)


MALFORMED = {
    "sparse: more indices than values": ("s", _sparse([1, 2], [1.0])),
    "sparse: more values than indices": ("s", _sparse([1], [1.0, 2.0])),
    "sparse: repeated index": ("s", _sparse([1, 1], [1.0, 2.0])),
    "sparse: index -1": ("s", _sparse([-1], [1.0])),
    "sparse: index 2**32": ("s", _sparse([2**32], [1.0])),
    "sparse: fractional index": ("s", _sparse([1.5], [1.0])),
    "sparse: text as index": ("s", _sparse(["a"], [1.0])),
    "sparse: None as value": ("s", _sparse([1], [None])),
    "sparse: NaN": ("s", _sparse([1], [NAN])),
    "sparse: infinity": ("s", _sparse([1], [INF])),
    "sparse: beyond 32 bits": ("s", _sparse([1], [1e300])),
    "dense: NaN": ("d", [NAN, 1.0, 1.0, 1.0]),
    "dense: infinity": ("d", [INF, 1.0, 1.0, 1.0]),
    "dense: both infinities": ("d", [INF, -INF, 1.0, 1.0]),
    "dense: beyond 32 bits": ("d", [1e300, -1e300, 1.0, 1.0]),
    "dense: huge integer": ("d", [10**400, 1, 1, 1]),
    "dense: too short": ("d", [1.0]),
    "dense: too long": ("d", [1.0] * 5),
    "dense: empty": ("d", []),
    "dense: None inside": ("d", [1.0, None, 1.0, 1.0]),
    "dense: text inside": ("d", ["a", 1.0, 1.0, 1.0]),
    "dense: booleans": ("d", [True] * 4),
    "dense: rows": ("d", [ONES]),
    "dense: a row inside": ("d", [1.0, ONES]),
    "array: NaN": ("d", np.array([NAN, 1, 1, 1])),
    "array: infinity": ("d", np.array([INF, 1, 1, 1], np.float32)),
    "array: beyond 32 bits": ("d", np.array([1e300, 1, 1, 1])),
    "array: complex": ("d", np.ones(4, complex)),
    "array: text": ("d", np.array(["a"] * 4)),
    "array: objects": ("d", np.array([1, None, 2, 3], object)),
    "array: booleans": ("d", np.ones(4, bool)),
    "array: no dimension": ("d", np.array(1.0)),
    "array: three dimensions": ("d", np.ones((1, 1, 4))),
    "multi: ragged": ("m", [ONES, [1.0] * 3]),
    "multi: empty row": ("m", [[]]),
    "multi: one empty row": ("m", [ONES, []]),
    "multi: NaN": ("m", [ONES, [NAN] * 4]),
    "multi: infinity": ("m", [[INF] * 4]),
    "multi: three levels": ("m", [[ONES]]),
    "multi: text as row": ("m", ["abcd"]),
    "multi: None as row": ("m", [None]),
    "multi: number as row": ("m", [ONES, 1.0]),
    "multi: array without columns": ("m", np.ones((2, 0))),
    "multi: array with NaN": ("m", np.full((2, 4), NAN)),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_vectors_are_refused_everywhere(filled: EmbeddedQdrant, case: str) -> None:
    name, vector = MALFORMED[case]
    named, rows = {name: vector}, {name: [vector]}
    upsert = models.PointsList.model_construct(
        points=[_point(5, named)], shard_key=None, update_filter=None, update_mode=None
    )
    update = models.PointVectors.model_construct(id=5, vector=named)
    batch = models.Batch.model_construct(ids=[5], vectors=rows, payloads=None)
    writes: dict[str, Callable[[], Any]] = {
        "upsert": lambda: filled.upsert("a", [_point(4, {"d": ONES}), _point(5, named)]),
        "batch": lambda: filled.upsert("a", batch),
        "update_vectors": lambda: filled.update_vectors("a", [update]),
        "batch_update_points": lambda: filled.batch_update_points(
            "a", [models.UpsertOperation.model_construct(upsert=upsert)]
        ),
        "upload_points": lambda: filled.upload_points("a", [_point(5, named)]),
        "upload_collection": lambda: filled.upload_collection("a", rows, ids=[5]),
        "query": lambda: filled.query_points("a", query=vector, using=name),
        "recommend": lambda: filled.query_points(
            "a",
            query=models.RecommendQuery(
                recommend=models.RecommendInput.model_construct(
                    positive=[vector], negative=None, strategy=models.RecommendStrategy.BEST_SCORE
                )
            ),
            using=name,
        ),
        "prefetch": lambda: filled.query_points(
            "a",
            query=models.FusionQuery(fusion=models.Fusion.RRF),
            prefetch=[
                models.Prefetch.model_construct(
                    query=models.NearestQuery.model_construct(nearest=vector, mmr=None),
                    using=name,
                    prefetch=None,
                    filter=None,
                    params=None,
                    score_threshold=None,
                    limit=3,
                    lookup_from=None,
                )
            ],
        ),
    }
    for call in writes.values():
        with pytest.raises(ValueError, match=".+"):
            call()
    [record] = filled.retrieve("a", [5], with_vectors=True)
    assert record.vector["d"] == [5.0] * 4  # nothing of a refused operation is applied
    _check_unspoilt(filled)


KEYS = ["", "a[", "[]", ".", "..", '"', 'a"b', "a[-1]", "a[" + "9" * 30 + "]", "\0", 5, None]
FIELD = {
    "range of NaN": {"range": models.Range(gt=NAN)},
    "no condition": {},
    "impossible circle": {
        "geo_radius": models.GeoRadius.model_construct(
            center=models.GeoPoint(lon=999, lat=999), radius=-1.0
        )
    },
    "polygon of no points": {
        "geo_polygon": models.GeoPolygon(exterior=models.GeoLineString(points=[]))
    },
    "match a number of 70 bits": {"match": models.MatchValue.model_construct(value=2**70)},
    "match a float": {"match": models.MatchValue.model_construct(value=1.5)},
    "match a lone surrogate": {"match": models.MatchValue(value="\ud800")},
    "match any of nothing": {"match": models.MatchAny(any=[])},
    "match any of two types": {"match": models.MatchAny.model_construct(any=[1, "a"])},
    "negative count": {
        "values_count": models.ValuesCount.model_construct(gt=-1, gte=None, lt=None, lte=None)
    },
}
UNSET = dict.fromkeys(models.FieldCondition.model_fields)


def _odd_operations(client: EmbeddedQdrant) -> list[Callable[[], Any]]:
    keyed = [
        operation
        for key in KEYS
        for operation in (
            lambda key=key: client.set_payload("a", {"x": 1}, points=[1], key=key),
            lambda key=key: client.delete_payload("a", [key], points=[1]),
            lambda key=key: client.create_payload_index("a", key, "keyword"),
            lambda key=key: client.delete_payload_index("a", key),
        )
    ]
    filtered = []
    for condition in FIELD.values():
        field = models.FieldCondition.model_construct(**{**UNSET, "key": "n", **condition})
        one = models.Filter.model_construct(
            must=[field], should=None, must_not=None, min_should=None
        )
        filtered += [
            lambda one=one: client.count("a", one),
            lambda one=one: client.scroll("a", one),
            lambda one=one: client.set_payload("a", {"y": 1}, points=one),
            lambda one=one: client.upsert("a", [_point(1, {"d": ONES})], update_filter=one),
        ]
    ids = [-1, 2**64, True, "abc", None, 1.5, b"a", [1], np.int64(-1)]
    identified = [lambda i=i: client.upsert("a", [_point(i, {"d": ONES})]) for i in ids]
    others = [
        lambda: client.upsert("a", [_point(1, {1: ONES})]),
        lambda: client.query_points("a", query=ONES, using=1),
        lambda: client.query_points("a", query=ONES, using="d", limit=2**64),
        lambda: client.query_points("a", query=ONES, using="d", score_threshold=NAN),
        lambda: client.query_points("a", query=models.FusionQuery(fusion=models.Fusion.RRF)),
        lambda: client.query_points("a", query=models.ContextQuery(context=[]), using="d"),
        lambda: client.scroll("a", offset=-1),
        lambda: client.facet("a", "nowhere"),
        lambda: client.retrieve("a", [1], with_vectors=["nowhere"]),
        lambda: client.delete_vectors("a", ["nowhere"], [1]),
        lambda: client.create_payload_index(
            "a",
            "n",
            models.TextIndexParams.model_construct(
                **{**dict.fromkeys(models.TextIndexParams.model_fields), "min_token_len": -1}
            ),
        ),
    ]
    return [*keyed, *filtered, *identified, *others]


def test_odd_operations_raise_known_errors_and_spoil_nothing(filled: EmbeddedQdrant) -> None:
    operations = _odd_operations(filled)
    assert len(operations) > 100
    for number, operation in enumerate(operations):
        with contextlib.suppress(ValueError, KeyError, EmbeddedQdrantError):
            operation()
        if number % 20 == 0:  # the log of the last twenty is replayed as one
            filled.close()
            filled = EmbeddedQdrant(filled.path)
            operations[number + 1 :] = _odd_operations(filled)[number + 1 :]
            assert filled.count("a").count == 10
    _check_unspoilt(filled)


@pytest.mark.parametrize(
    "rows",
    [
        [[np.float32(1)] * 4],
        [[1, 2, 3, 4]],
        [[1, 2.5, np.float64(3), np.int32(4)]],
        [(1.0, 2.0, 3.0, 4.0)],
        np.ones((1, 4), np.int64),
        np.ones((1, 4), np.float16),
        [np.ones(4)],
    ],
    ids=str,
)
def test_numbers_of_every_kind_are_taken(filled: EmbeddedQdrant, rows: Any) -> None:
    filled.upload_collection("a", {"d": rows}, ids=[50])
    filled.upsert("a", models.Batch.model_construct(ids=[51], vectors={"d": rows}, payloads=None))
    filled.upload_collection("a", {"m": [rows]}, ids=[52])
    stored = {r.id: r.vector for r in filled.retrieve("a", [50, 51, 52], with_vectors=True)}
    expected = [float(x) for x in rows[0]]
    assert stored[50]["d"] == stored[51]["d"] == stored[52]["m"][0] == expected


def test_the_largest_finite_floats_are_taken(filled: EmbeddedQdrant) -> None:
    largest = float(np.finfo(np.float32).max)
    filled.upsert("a", [_point(1, {"d": [largest, -largest, 0.0, 1e-45]})])
    [record] = filled.retrieve("a", [1], with_vectors=True)
    assert record.vector["d"][:2] == [largest, -largest]
    written = 3.4028235e38  # the same, as JSON has it: above the largest until it is rounded
    filled.upsert("a", [_point(2, {"d": [written, -written, 0.0, 0.0]})])
    [record] = filled.retrieve("a", [2], with_vectors=True)
    assert record.vector["d"][:2] == [largest, -largest]


def test_a_panic_of_the_engine_is_an_error_of_ours() -> None:
    class PanicException(BaseException):  # as pyo3's, which cannot be imported
        pass

    match = r"Could not write: .*index out of bounds"
    with pytest.raises(EmbeddedQdrantError, match=match), translate_engine_errors("write"):
        raise PanicException("index out of bounds")
    with pytest.raises(KeyboardInterrupt), translate_engine_errors("write"):
        raise KeyboardInterrupt
