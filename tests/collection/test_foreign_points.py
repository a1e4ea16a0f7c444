"""Points of other programs in a collection of ours, and what others added to our points."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, RDRVectorStore
from rdr_qdrant.collection import Collection, Point, UpsertResult
from rdr_qdrant.collection.deletion import PointSelection, delete_points
from rdr_qdrant.collection.payload import is_ours
from rdr_qdrant.collection.points import source_filter
from rdr_qdrant.passages import point_id
from rdr_qdrant.readers import Reject
from tests.conftest import COLLECTION

HASH = "0123456789abcdef" * 4
FOREIGN: list[tuple[int | str, Any]] = [
    (1, {"content_hash": "etag-17"}),
    (2, {"content_hash": HASH}),
    (3, {"content_hash": HASH, "metadata": {"source": "passages"}}),
    (4, {"content_hash": HASH, "metadata": {"id": "5", "source": "passages"}}),
    (5, {"content_hash": HASH, "metadata": {"id": 5, "source": "passages"}}),
    (6, {"content_hash": HASH.upper(), "metadata": {"id": "6", "source": "passages"}}),
    (7, {"content_hash": HASH[:32], "metadata": {"id": "7", "source": "passages"}}),
    (8, {"content_hash": 1, "metadata": {"id": "8", "source": "passages"}}),
    (9, {"content_hash": HASH, "metadata": ["id", "9"]}),
    (str(uuid.UUID(int=9)), {"content_hash": HASH, "metadata": {"id": "a", "source": "passages"}}),
]


@pytest.mark.parametrize(("stored_id", "payload"), [*FOREIGN, (1, None), (1, {})])
def test_a_point_with_another_hash_or_id_is_not_ours(stored_id: int | str, payload: Any) -> None:
    assert not is_ours(stored_id, payload)


@pytest.mark.parametrize("passage_id", ["1", "007", "a#1", str(2**64 - 1), "é"])
def test_a_point_with_our_hash_and_id_is_ours(passage_id: str) -> None:
    payload = {"content_hash": HASH, "metadata": {"id": passage_id}}
    assert is_ours(point_id(passage_id), payload)


@pytest.fixture
def shared(client: QdrantClient, tiny: RDREmbeddings) -> QdrantClient:
    """A collection of ours in which another program has stored points too."""
    Collection(client, COLLECTION).create(tiny.identity())
    client.upsert(
        COLLECTION,
        [models.PointStruct(id=i, vector=[1.0] * 32, payload=payload) for i, payload in FOREIGN],
    )
    return client


def payloads(client: QdrantClient) -> dict[Any, Any]:
    return {record.id: record.payload for record in client.scroll(COLLECTION, limit=100)[0]}


def test_points_of_other_programs_with_a_content_hash_are_not_overwritten(
    shared: QdrantClient, tiny: RDREmbeddings
) -> None:
    rejects: list[Reject] = []
    loader = QdrantLoader(
        embeddings=tiny, client=shared, collection_name=COLLECTION, on_reject=rejects.append
    )
    report = loader.load([Passage(str(n), f"river {n}") for n in range(1, 13)])
    assert (report.uploaded, report.rejected) == (3, 9)
    assert {one.reason for one in rejects} == {
        "its point id is taken by a point that other software wrote"
    }
    stored = payloads(shared)
    assert all(stored[i] == payload for i, payload in FOREIGN)


def test_scrolls_leave_out_points_of_other_programs(
    shared: QdrantClient, tiny: RDREmbeddings
) -> None:
    """By these pages a load prunes its sources, and clears what an interrupted one left."""
    loader = QdrantLoader(embeddings=tiny, client=shared, collection_name=COLLECTION)
    loader.load([Passage("20", "river", metadata={"source": "passages"})])
    points = Collection(shared, COLLECTION).points
    assert [one for page in points.scroll_ours(3, source_filter("passages")) for one in page] == [
        (20, "20")
    ]
    assert [one for page in points.scroll_ours(3) for one in page] == [(20, "20")]


def test_a_document_of_another_program_keeps_its_own_id(
    shared: QdrantClient, tiny: RDREmbeddings
) -> None:
    store = RDRVectorStore(shared, COLLECTION, tiny)
    [document] = store.get_by_ids(["5"])
    assert (document.id, document.metadata) == ("5", {"id": 5, "source": "passages"})


# What other programs added to points of ours


@pytest.fixture(params=["", "rdr"])
def mixed(request: pytest.FixtureRequest, client: QdrantClient, tiny: RDREmbeddings) -> str:
    """A collection of ours to which others added vectors and payload; the name of our vector."""
    name = request.param
    ours = models.VectorParams(size=32, distance=models.Distance.DOT)
    image = models.VectorParams(size=2, distance=models.Distance.DOT)
    client.create_collection(
        COLLECTION,
        vectors_config={name: ours, "image": image} if name else ours,
        sparse_vectors_config={"words": models.SparseVectorParams()},
        metadata={"rdr_qdrant": tiny.identity().to_metadata()},
    )
    passages = [Passage(str(n), f"river {n}", metadata={"n": n}) for n in range(4)]
    load(client, tiny, name, passages)
    words = models.SparseVector(indices=[3, 1], values=[0.5, 2.0])
    additions = {"words": words, **({"image": [1.5, -2.0]} if name else {})}
    client.update_vectors(
        COLLECTION, [models.PointVectors(id=one, vector=additions) for one in (0, 1)]
    )
    client.set_payload(COLLECTION, {"reviewed": {"by": ["me"]}, "_given": 1}, points=[0, 1, 2])
    return name


def load(client: QdrantClient, tiny: RDREmbeddings, name: str, passages: list[Passage]) -> Any:
    options = {"client": client, "collection_name": COLLECTION, "vector_name": name}
    return QdrantLoader(embeddings=tiny, **options).load(passages)


def stored(client: QdrantClient, one: int) -> models.Record:
    [record] = client.retrieve(COLLECTION, [one], with_payload=True, with_vectors=True)
    return record


@pytest.mark.parametrize("text", ["another river", "river 0"])
def test_an_update_keeps_the_payload_and_vectors_that_others_added(
    mixed: str, client: QdrantClient, tiny: RDREmbeddings, text: str
) -> None:
    before = stored(client, 0)
    changed = [Passage("0", text, metadata={"n": 10}), Passage("3", text, metadata={"n": 13})]
    report = load(client, tiny, mixed, [*changed, Passage("9", text)])
    assert report.uploaded + report.updated == 3
    assert report.stale_vectors == (0 if text == "river 0" else 1)
    after = stored(client, 0)
    assert after.payload == {
        **before.payload,
        "page_content": text,
        "metadata": {"id": "0", "title": "", "n": 10},
        "content_hash": after.payload["content_hash"],
    }
    assert after.payload["reviewed"] == {"by": ["me"]}
    expected = tiny.encode_passages(changed[:1])[0]
    assert np.allclose(after.vector.pop(mixed), expected, atol=1e-5)
    ours = before.vector.pop(mixed)
    assert after.vector == before.vector
    assert np.allclose(ours, expected, atol=1e-5) == (text == "river 0")
    assert stored(client, 3).payload.keys() == {"page_content", "metadata", "content_hash"}


def test_points_with_vectors_of_others_are_reported_as_stale(
    mixed: str, client: QdrantClient
) -> None:
    points = Collection(client, COLLECTION, mixed).points
    vector = np.ones(32, dtype=np.float32)
    written = [Point(one, vector, {"page_content": "new"}) for one in (0, 1, 2, 77)]
    result = points.upsert(written, existing={0, 1, 2, 5})
    assert (result.too_large, result.stale) == ([], [0, 1])
    assert stored(client, 0).payload == {
        "page_content": "new",
        "reviewed": {"by": ["me"]},
        "_given": 1,
    }
    assert points.upsert(written).stale == []


def test_points_without_additions_cost_no_further_request_when_they_are_new(
    client: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = Collection(client, COLLECTION)
    collection.create(tiny.identity())
    monkeypatch.setattr(client, "retrieve", None)
    point = Point(1, np.ones(32, dtype=np.float32), {"page_content": "new"})
    assert collection.points.upsert([point]) == UpsertResult([], [])


@pytest.mark.parametrize(
    "selection",
    [
        PointSelection(),
        PointSelection(metadata={"source": "passages"}),
        PointSelection(passage_ids=["1", "2", "3", "4", "5", "6", "7", "8", "9", "20"]),
    ],
)
def test_points_of_other_programs_are_not_deleted(
    shared: QdrantClient, tiny: RDREmbeddings, selection: PointSelection
) -> None:
    load(shared, tiny, "", [Passage("20", "river", metadata={"source": "passages"})])
    assert delete_points(shared, COLLECTION, selection, dry_run=True) == 1
    assert delete_points(shared, COLLECTION, selection) == 1
    assert payloads(shared) == dict(FOREIGN)
    assert delete_points(shared, COLLECTION, selection, allow_unverified=True) > 1
