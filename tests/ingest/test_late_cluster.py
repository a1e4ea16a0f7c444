"""Loads on a cluster whose nodes see changes late, each request perhaps by another node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.client import RetryPolicy, cluster
from rdr_qdrant.collection import Aliases, Collection, CollectionSettings, bulk_indexing
from rdr_qdrant.collection.bulk_indexing import BULK_KEY
from rdr_qdrant.embedded import EmbeddedQdrant
from rdr_qdrant.errors import CollectionError
from tests.support.cluster import Cluster
from tests.support.qdrant_http_server import QdrantHTTPServer

LATEST = 0.03
"""Seconds until the last node sees a change."""


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "SETTLED_SECONDS", 2 * LATEST)
    monkeypatch.setattr(bulk_indexing, "POLL_SECONDS", 0.01)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EmbeddedQdrant]:
    with EmbeddedQdrant(tmp_path / "behind") as backend:
        yield backend


@pytest.fixture
def nodes(backend: EmbeddedQdrant) -> Iterator[QdrantHTTPServer]:
    with QdrantHTTPServer(backend, cluster=Cluster((0.0, LATEST))) as server:
        yield server


@pytest.fixture
def late(nodes: QdrantHTTPServer) -> Iterator[QdrantClient]:
    client = connect(url=nodes.url)
    yield client
    client.close()


def test_a_change_is_waited_for_until_every_answer_shows_it(late: QdrantClient) -> None:
    late.create_collection("c", models.VectorParams(size=4, distance=models.Distance.DOT))
    found = cluster.look_until_seen(
        late, RetryPolicy(), lambda: late.collection_exists("c"), lambda exists: exists
    )
    assert found
    assert all(late.collection_exists("c") for _ in range(20))


def test_loads_of_every_kind_succeed_and_leave_no_settings_changed(
    late: QdrantClient, backend: EmbeddedQdrant, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    def load(name: str, **options: object) -> None:
        QdrantLoader(embeddings=tiny, client=late, collection_name=name, **options).load(passages)  # type: ignore[arg-type]
        info = backend.get_collection(name)
        assert info.points_count == len(passages)
        assert info.config.optimizer_config.indexing_threshold != 0
        assert not (info.config.metadata or {}).keys() - {"rdr_qdrant", "rdr_qdrant_creation"}

    load("c", bulk=True)
    load("c", bulk=True, recreate=True)
    load("c", collection_settings=CollectionSettings(payload_indexes={"year": "integer"}))
    assert "metadata.year" in backend.get_collection("c").payload_schema
    Collection(late, "c").delete()
    assert not any(late.collection_exists("c") for _ in range(10))
    load("c")
    for _ in range(2):
        load("live", swap_alias=True, drop_old=True, bulk=True)
    assert Aliases(backend).collection_names() == ["c", "live-2"]


def test_metadata_that_never_show_are_taken_back(
    late: QdrantClient,
    backend: EmbeddedQdrant,
    tiny: RDREmbeddings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collection = Collection(late, "c")
    collection.create(tiny.identity())
    before = backend.get_collection("c").config
    monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 0.0)
    shown = late.get_collection("c")
    monkeypatch.setattr(late, "get_collection", lambda name: shown)
    with pytest.raises(CollectionError, match="does not show the metadata"):
        collection.bulk_indexing.defer_indexing()
    after = backend.get_collection("c").config
    assert after == before
    assert BULK_KEY not in (after.metadata or {})


def test_a_note_that_another_load_removed_does_not_leave_the_index_off(
    late: QdrantClient, backend: EmbeddedQdrant, tiny: RDREmbeddings
) -> None:
    collection = Collection(late, "c")
    collection.create(tiny.identity())
    before = collection.info().config.optimizer_config.indexing_threshold
    assert collection.bulk_indexing.defer_indexing()
    collection.remove_metadata_key(BULK_KEY)
    assert collection.bulk_indexing.resume_indexing()
    assert backend.get_collection("c").config.optimizer_config.indexing_threshold == before
