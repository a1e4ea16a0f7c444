"""Writing points and reading them back, the same in every store."""

import math
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import EmbeddedQdrant
from rdr_qdrant.client.capabilities import server_address
from rdr_qdrant.embedded import EmbeddedQdrantError
from tests.embedded.corpus import DIM, id_of, points_of, vectors_of

Refused = Callable[..., Any]


@pytest.fixture
def filled(client: QdrantClient, name: str) -> QdrantClient:
    client.create_collection(name, models.VectorParams(size=DIM, distance=models.Distance.DOT))
    client.upsert(name, points_of(20))
    return client


def _ids(client: QdrantClient, name: str) -> set[Any]:
    return {record.id for record in client.scroll(name, limit=100)[0]}


def test_stored_points_are_returned_unchanged(filled: QdrantClient, name: str) -> None:
    sent = points_of(20)
    got = filled.retrieve(name, [p.id for p in sent], with_vectors=True)
    assert [r.id for r in got] == [p.id for p in sent]
    assert [r.payload for r in got] == [p.payload for p in sent]
    assert np.allclose([r.vector for r in got], [p.vector for p in sent], atol=1e-6)


def test_retrieve_keeps_the_order_of_ids_and_skips_missing_ones(
    filled: QdrantClient, name: str
) -> None:
    got = filled.retrieve(name, [id_of(5), 4711, id_of(0), id_of(2)])
    assert [record.id for record in got] == [id_of(5), id_of(0), id_of(2)]
    assert got[0].vector is None


def test_uuids_are_one_id_however_written(filled: QdrantClient, name: str) -> None:
    one = uuid.UUID("550e8400-e29b-41d4-a716-446655440000")
    for written in (one, str(one), str(one).upper(), one.hex, one.urn):
        point = models.PointStruct(id=written, vector=[0.5] * DIM, payload={"w": str(written)})
        filled.upsert(name, [point])
    assert filled.count(name).count == 21
    assert filled.retrieve(name, [one.hex])[0].id == str(one)


def test_an_upsert_replaces_vector_and_payload(filled: QdrantClient, name: str) -> None:
    filled.upsert(name, [models.PointStruct(id=1, vector=[1.0] * DIM, payload={"new": 1})])
    [record] = filled.retrieve(name, [1], with_vectors=True)
    assert (record.payload, record.vector) == ({"new": 1}, [1.0] * DIM)


def test_batches_take_numpy_arrays(filled: QdrantClient, name: str) -> None:
    vectors = vectors_of(3, seed=9)
    batch = models.Batch(ids=[100, 101, 102], vectors=vectors.tolist(), payloads=[{"a": 1}] * 3)
    filled.upsert(name, batch)
    filled.upsert(name, [models.PointStruct(id=103, vector=vectors[0], payload=None)])
    got = filled.retrieve(name, [100, 101, 102, 103], with_vectors=True)
    assert np.allclose([r.vector for r in got], [*vectors, vectors[0]], atol=1e-6)
    assert got[0].payload == {"a": 1}


def test_uploads_take_points_and_arrays(filled: QdrantClient, name: str) -> None:
    filled.upload_points(name, iter(points_of(60)), batch_size=7, wait=True)
    assert filled.count(name).count == 60
    vectors = vectors_of(1300, seed=4)
    filled.upload_collection(name, vectors, ids=range(1000, 2300), wait=True)
    assert filled.count(name).count == 1360
    assert np.allclose(filled.retrieve(name, [2299], with_vectors=True)[0].vector, vectors[-1])
    filled.upload_points(name, iter([]))


def test_payload_values_become_json(filled: QdrantClient, name: str) -> None:
    one = uuid.uuid4()
    payload = {"when": datetime(2024, 5, 6, 7, 8), "id": one, "pair": (1, 2), "π": "ü"}
    filled.upsert(name, [models.PointStruct(id=1, vector=[1.0] * DIM, payload=payload)])
    got = filled.retrieve(name, [1])[0].payload
    assert got == {"when": "2024-05-06T07:08:00", "id": str(one), "pair": [1, 2], "π": "ü"}


def test_a_wrong_point_in_a_batch_leaves_nothing_behind(
    filled: QdrantClient, name: str, refused: Refused
) -> None:
    good = models.PointStruct(id=500, vector=[1.0] * DIM)
    for vector in ([], [1.0] * (DIM + 1), [float("nan")] * DIM):
        with refused():
            filled.upsert(name, [good, models.PointStruct(id=501, vector=vector)])
    with refused():
        filled.upsert(name, [good, models.PointStruct(id="not a uuid", vector=[1.0] * DIM)])
    with refused():
        filled.upsert(name, [])
    assert filled.count(name).count == 20
    with refused():
        filled.upsert(name, [good, models.PointStruct(id=501, vector={"no such": [1.0] * DIM})])
    written = 0 if server_address(filled) is None else 1  # a server keeps what stands before it
    assert filled.count(name).count == 20 + written


def test_insert_only_update_only_and_conditional_upserts(filled: QdrantClient, name: str) -> None:
    def point(point_id: int) -> models.PointStruct:
        return models.PointStruct(id=point_id, vector=[2.0] * DIM, payload={"new": True})

    pair = [point(1), point(900)]
    filled.upsert(name, pair, update_mode=models.UpdateMode.UPDATE_ONLY)
    assert 900 not in _ids(filled, name)
    assert filled.retrieve(name, [1])[0].payload == {"new": True}
    filled.upsert(name, [point(2), point(900)], update_mode=models.UpdateMode.INSERT_ONLY)
    assert "word" in filled.retrieve(name, [2])[0].payload
    assert 900 in _ids(filled, name)
    only_fives = models.Filter(
        must=models.FieldCondition(key="number", match=models.MatchValue(value=5))
    )
    filled.upsert(name, [point(5), point(6)], update_filter=only_fives)
    assert filled.retrieve(name, [5])[0].payload == {"new": True}
    assert "word" in filled.retrieve(name, [6])[0].payload


@pytest.mark.parametrize("kind", ["list", "ids", "filter", "selector"])
def test_deletes_by_every_selector(filled: QdrantClient, name: str, kind: str) -> None:
    chosen = models.Filter(must=models.HasIdCondition(has_id=[1, 2, 777]))
    selector = {
        "list": [1, 2, 777],
        "ids": models.PointIdsList(points=[1, 2, 777]),
        "filter": chosen,
        "selector": models.FilterSelector(filter=chosen),
    }[kind]
    result = filled.delete(name, selector)
    assert result.status == models.UpdateStatus.COMPLETED
    assert _ids(filled, name) == {id_of(i) for i in range(20)} - {1, 2}


def test_payload_is_set_overwritten_deleted_and_cleared(filled: QdrantClient, name: str) -> None:
    before = filled.retrieve(name, [1])[0].payload
    filled.set_payload(name, {"extra": 1}, points=[1])
    assert filled.retrieve(name, [1])[0].payload == {**before, "extra": 1}
    filled.set_payload(name, {"page": 99}, points=[1], key="metadata")
    assert filled.retrieve(name, [1])[0].payload["metadata"] == {**before["metadata"], "page": 99}
    filled.delete_payload(name, ["extra", "metadata.page"], points=models.PointIdsList(points=[1]))
    assert "page" not in filled.retrieve(name, [1])[0].payload["metadata"]
    odd = models.Filter(must=models.FieldCondition(key="flag", match=models.MatchValue(value=True)))
    filled.overwrite_payload(name, {"only": "this"}, points=odd)
    assert [filled.retrieve(name, [i])[0].payload for i in (1, 3)] == [{"only": "this"}] * 2
    assert filled.retrieve(name, [2])[0].payload == points_of(3)[2].payload
    filled.clear_payload(name, [2])
    assert filled.retrieve(name, [2])[0].payload == {}


def test_an_update_of_a_missing_point_is_reported(filled: QdrantClient, name: str) -> None:
    from qdrant_client.http.exceptions import UnexpectedResponse

    with pytest.raises((KeyError, UnexpectedResponse)):
        filled.set_payload(name, {"a": 1}, points=[999])
    with pytest.raises((KeyError, UnexpectedResponse)):
        filled.update_vectors(name, [models.PointVectors(id=999, vector=[1.0] * DIM)])


def _words(*indices: int) -> models.SparseVector:
    return models.SparseVector(indices=list(indices), values=[1.0] * len(indices))


@pytest.fixture
def weighted(client: QdrantClient, name: str) -> QdrantClient:
    """Twelve points with a sparse vector whose weights depend on all: each has word 0 or 1."""
    client.create_collection(
        name,
        models.VectorParams(size=DIM, distance=models.Distance.DOT),
        sparse_vectors_config={"w": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    vectors = [{"": [1.0] * DIM, "w": _words(n % 2)} for n in range(12)]
    points = [models.PointStruct(id=n, vector=vector) for n, vector in enumerate(vectors)]
    client.upsert(name, points)
    return client


def _scores(client: QdrantClient, name: str) -> dict[Any, float]:
    found = client.query_points(name, query=_words(0), using="w", limit=20).points
    return {point.id: point.score for point in found}


def test_document_frequencies_are_right_after_each_kind_of_deletion(
    weighted: QdrantClient, name: str
) -> None:
    def idf(having: int, points: int) -> float:
        return math.log((points - having + 0.5) / (having + 0.5) + 1)

    assert _scores(weighted, name) == pytest.approx(dict.fromkeys(range(0, 12, 2), idf(6, 12)))
    weighted.delete_vectors(name, ["w"], [0, 1, 3])
    assert _scores(weighted, name) == pytest.approx(dict.fromkeys(range(2, 12, 2), idf(5, 9)))
    listed = models.Filter(must=[models.HasIdCondition(has_id=[0, 2, 99])])
    weighted.delete_vectors(name, ["w"], listed)
    assert _scores(weighted, name) == pytest.approx(dict.fromkeys(range(4, 12, 2), idf(4, 8)))
    weighted.delete(name, models.Filter(must=[models.HasIdCondition(has_id=[4, 5, 7])]))
    weighted.delete(name, [6, 99])
    assert _scores(weighted, name) == pytest.approx(dict.fromkeys([8, 10], idf(2, 4)))
    assert weighted.count(name).count == 8


def test_a_deletion_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    with EmbeddedQdrant(tmp_path) as client:
        params = models.VectorParams(size=DIM, distance=models.Distance.DOT)
        sparse = {"w": models.SparseVectorParams(modifier=models.Modifier.IDF)}
        client.create_collection("c", params, sparse_vectors_config=sparse)
        vector = {"": [1.0] * DIM, "w": _words(0)}
        client.upsert("c", [models.PointStruct(id=1, vector=vector)])
        before = client.retrieve("c", [1], with_vectors=True)
        wrong: Any
        for wrong in (models.PointIdsList(points=[1], shard_key="a"), 1, "1", None, []):
            with pytest.raises((EmbeddedQdrantError, ValueError)):
                client.delete("c", wrong)
        with pytest.raises(ValueError, match="Not existing vector name error: nope"):
            client.delete_vectors("c", ["w", "nope"], [1])
        assert client.retrieve("c", [1], with_vectors=True) == before


def test_scroll_pages_through_everything_once(filled: QdrantClient, name: str) -> None:
    seen: list[Any] = []
    offset, pages = None, 0
    while pages == 0 or offset is not None:
        records, offset = filled.scroll(name, limit=6, offset=offset)
        seen, pages = seen + [record.id for record in records], pages + 1
    assert pages == 4
    assert len(seen) == 20
    assert set(seen) == {id_of(i) for i in range(20)}
    assert seen == [i for i in seen if isinstance(i, int)] + [i for i in seen if isinstance(i, str)]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (True, {"number", "price", "word", "flag", "when", "tags", "nothing"}),
        (False, None),
        (["word", "metadata.deep.er"], {"word", "metadata"}),
        (models.PayloadSelectorInclude(include=["number"]), {"number"}),
        (models.PayloadSelectorExclude(exclude=["number", "metadata"]), {"price", "word", "when"}),
    ],
)
def test_payload_selectors(
    filled: QdrantClient, name: str, selector: Any, expected: set[str] | None
) -> None:
    by_retrieve = filled.retrieve(name, [1], with_payload=selector)[0].payload
    one = models.Filter(must=models.HasIdCondition(has_id=[1]))
    by_scroll = filled.scroll(name, one, with_payload=selector)[0][0].payload
    by_query = (
        filled.query_points(name, query=[1.0] * DIM, query_filter=one, with_payload=selector)
        .points[0]
        .payload
    )
    assert by_retrieve == by_scroll == by_query
    assert expected is None if by_retrieve is None else expected <= set(by_retrieve)
    if isinstance(selector, models.PayloadSelectorExclude):
        assert not {"number", "metadata"} & set(by_retrieve or {})


def test_named_vectors_are_kept_apart(client: QdrantClient, name: str) -> None:
    client.create_collection(
        name,
        {
            "small": models.VectorParams(size=2, distance=models.Distance.DOT),
            "large": models.VectorParams(size=3, distance=models.Distance.EUCLID),
        },
    )
    client.upsert(
        name,
        [
            models.PointStruct(id=1, vector={"small": [1.0, 0.0], "large": [1.0, 2.0, 3.0]}),
            models.PointStruct(id=2, vector={"small": np.array([0.0, 1.0], dtype=np.float32)}),
        ],
    )
    both = client.retrieve(name, [1, 2], with_vectors=True)
    assert both[0].vector == {"small": [1.0, 0.0], "large": [1.0, 2.0, 3.0]}
    assert both[1].vector == {"small": [0.0, 1.0]}
    assert client.retrieve(name, [1], with_vectors=["large"])[0].vector == {
        "large": [1.0, 2.0, 3.0]
    }
    assert [p.id for p in client.query_points(name, [0.0, 1.0], using="small").points] == [2, 1]
    assert [p.id for p in client.query_points(name, [0.0, 1.0, 0.0], using="large").points] == [1]
    with_large = models.Filter(must=models.HasVectorCondition(has_vector="large"))
    assert client.count(name, with_large).count == 1
    client.update_vectors(name, [models.PointVectors(id=2, vector={"large": [0.0, 0.0, 1.0]})])
    assert client.count(name, with_large).count == 2
    client.delete_vectors(name, ["large"], [1])
    assert client.count(name, with_large).count == 1


def test_batched_updates_apply_in_order(filled: QdrantClient, name: str) -> None:
    results = filled.batch_update_points(
        name,
        [
            models.UpsertOperation(
                upsert=models.PointsList(points=[models.PointStruct(id=70, vector=[1.0] * DIM)])
            ),
            models.SetPayloadOperation(
                set_payload=models.SetPayload(payload={"a": 1, "b": 2}, points=[70])
            ),
            models.DeletePayloadOperation(
                delete_payload=models.DeletePayload(keys=["b"], points=[70])
            ),
            models.DeleteOperation(delete=models.PointIdsList(points=[1])),
        ],
    )
    assert len(results) == 4
    assert filled.retrieve(name, [70, 1])[0].payload == {"a": 1}
    assert filled.count(name).count == 20


def test_wrong_limits_are_refused(filled: QdrantClient, name: str, refused: Refused) -> None:
    with refused():
        filled.scroll(name, limit=0)
    with refused():
        filled.query_points(name, [1.0] * DIM, limit=0)


def test_a_payload_too_deep_to_be_read_back_is_refused(tmp_path: Path) -> None:
    def nested(depth: int) -> dict[str, Any]:
        value: Any = 1
        for level in range(depth):
            value = {"a": value} if level % 2 else [value]
        return {"x": value}

    with EmbeddedQdrant(tmp_path / "store") as client:
        client.create_collection("c", models.VectorParams(size=2, distance=models.Distance.DOT))
        deepest = nested(100)
        client.upsert("c", [models.PointStruct(id=1, vector=[1.0, 2.0], payload=deepest)])
        assert client.retrieve("c", [1])[0].payload == deepest
        for write in (
            lambda payload: client.upsert(
                "c", [models.PointStruct(id=2, vector=[1.0, 2.0], payload=payload)]
            ),
            lambda payload: client.set_payload("c", payload, [1]),
            lambda payload: client.overwrite_payload("c", payload, [1]),
        ):
            with pytest.raises(ValueError, match="nested more than 100 deep"):
                write(nested(101))
        assert client.retrieve("c", [1])[0].payload == deepest
