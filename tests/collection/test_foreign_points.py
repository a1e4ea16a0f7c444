"""Points of other programs in a collection of ours, and what others added to our points."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, RDRVectorStore
from rdr_qdrant.collection import Collection
from rdr_qdrant.collection.payload import is_ours
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
    (str(uuid.uuid4()), {"content_hash": HASH, "metadata": {"id": "a", "source": "passages"}}),
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
    assert [one for page in points.scroll_source("passages", 3) for one in page] == [(20, "20")]
    assert [one for page in points.scroll_ids(3) for one in page] == [20]


def test_a_document_of_another_program_keeps_its_own_id(
    shared: QdrantClient, tiny: RDREmbeddings
) -> None:
    store = RDRVectorStore(shared, COLLECTION, tiny)
    [document] = store.get_by_ids(["5"])
    assert (document.id, document.metadata) == ("5", {"id": 5, "source": "passages"})
