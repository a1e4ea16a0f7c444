"""Loads and lists with keys that may not do everything, and on clusters of which a part is down."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.client import AccessDeniedError
from rdr_qdrant.collection import Collection, list_collections
from rdr_qdrant.collection.bulk_indexing import BULK_KEY, indexing_deferred
from rdr_qdrant.errors import StoreError, UsageError
from rdr_qdrant.readers import open_source
from tests.client.test_recorded_errors import DOWN
from tests.conftest import COLLECTION
from tests.support.faults import Status
from tests.support.qdrant_http_server import QdrantHTTPServer

FOR_ONE_COLLECTION = Status(
    403, body='{"status": {"error": "Forbidden: Global access is required"}}'
)
PART_DOWN = Status(500, body=json.dumps({"status": {"error": DOWN}}))
ALWAYS = 10**6


@pytest.fixture
def asked() -> Iterator[QdrantHTTPServer]:
    with QdrantHTTPServer() as server:
        yield server


def loader(server: QdrantHTTPServer, tiny: RDREmbeddings, **options: object) -> QdrantLoader:
    settings = {"embeddings": tiny, "client": connect(server.url), "collection_name": COLLECTION}
    return QdrantLoader(**settings | {"retry_for": 0.0} | options)


def test_a_key_for_one_collection_loads_without_bulk_and_is_told_before_encoding_with_it(
    asked: QdrantHTTPServer, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    loader(asked, tiny).load(passages[:1])
    asked.inject(
        FOR_ONE_COLLECTION, ALWAYS, r"(PATCH|DELETE) /collections/\S+|PUT /collections/[^/]+"
    )
    with pytest.raises(AccessDeniedError, match="Global access.*--bulk .*leave it out") as caught:
        loader(asked, tiny, bulk=True).load(passages)
    assert "\n" not in str(caught.value)
    assert connect(asked.url).count(COLLECTION).count == 1
    assert loader(asked, tiny).load(passages).verified == 6


def test_a_key_for_one_collection_loads_split_texts_into_one_without_a_record(
    asked: QdrantHTTPServer,
    tiny: RDREmbeddings,
    passages: list[Passage],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    loader(asked, tiny).load(passages[:1])
    asked.inject(FOR_ONE_COLLECTION, ALWAYS, r"PATCH /collections/\S+")
    (tmp_path / "a.txt").write_text("One. Two.")
    assert loader(asked, tiny).load_sources([open_source(tmp_path / "a.txt")]).points == 2
    assert "does not record this split: The API key does not allow this" in caplog.text


def test_a_bulk_load_that_another_key_left_unfinished_is_no_obstacle(
    asked: QdrantHTTPServer,
    tiny: RDREmbeddings,
    passages: list[Passage],
    caplog: pytest.LogCaptureFixture,
) -> None:
    loader(asked, tiny).load(passages[:1])
    client = connect(asked.url)
    client.update_collection(COLLECTION, metadata={BULK_KEY: {"indexing_threshold": 20000}})
    asked.inject(FOR_ONE_COLLECTION, ALWAYS, r"PATCH .*")
    with caplog.at_level(logging.WARNING):
        assert loader(asked, tiny).load(passages).verified == 6
    assert "stays deferred by an earlier --bulk load" in caplog.text
    assert indexing_deferred(client.get_collection(COLLECTION))


def test_checking_the_right_changes_nothing(asked: QdrantHTTPServer, tiny: RDREmbeddings) -> None:
    client = connect(asked.url)
    collection = Collection(client, COLLECTION)
    collection.create(tiny.identity())
    for previous in (None, {"indexing_threshold": 20000}):
        client.update_collection(COLLECTION, metadata={BULK_KEY: previous})
        before = client.get_collection(COLLECTION).config
        collection.bulk_indexing.check_allowed()
        assert client.get_collection(COLLECTION).config == before


def test_the_list_marks_what_a_lost_node_keeps_from_being_read(
    asked: QdrantHTTPServer, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    loader(asked, tiny).load(passages)
    loader(asked, tiny, collection_name="one").load(passages[:2])
    asked.inject(PART_DOWN, ALWAYS, r"GET /collections/one")
    found = {one.name: one for one in list_collections(connect(asked.url))}
    assert found[COLLECTION].points == 6
    assert found[COLLECTION].error is None
    assert found["one"].points is None
    assert "'one'" in str(found["one"].error)
    with pytest.raises(StoreError, match="collection 'one'.*no other copy|Collection 'one'"):
        Collection(connect(asked.url), "one").describe()


@pytest.mark.parametrize(
    ("nodes", "copies", "warned"), [(3, 1, True), (3, 2, False), (1, 1, False)]
)
def test_one_copy_of_each_shard_on_a_cluster_is_remarked_once(
    asked: QdrantHTTPServer,
    tiny: RDREmbeddings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    nodes: int,
    copies: int,
    *,
    warned: bool,
) -> None:
    peers = {str(n): {"uri": f"http://127.0.0.1:66{n}5/"} for n in range(nodes)}
    consensus = {"consensus_thread_status": "working", "last_update": "2026-11-26T00:00:00Z"}
    raft = {"term": 1, "commit": 1, "pending_operations": 0, "is_voter": True}
    result = {
        "status": "enabled",
        "peer_id": 0,
        "peers": peers,
        "raft_info": raft,
        "consensus_thread_status": consensus,
        "message_send_failures": {},
    }
    asked.inject(Status(200, body=json.dumps({"result": result})), ALWAYS, "GET /cluster")
    client = connect(asked.url)
    info = client.get_collection

    def with_copies(name: str, **options: object) -> models.CollectionInfo:
        found = info(name, **options)
        found.config.params.replication_factor = copies
        return found

    monkeypatch.setattr(client, "get_collection", with_copies)
    with caplog.at_level(logging.WARNING):
        Collection(client, COLLECTION).create(tiny.identity())
    assert ("--set replication_factor=2" in caplog.text) == warned


def test_an_empty_name_is_wrong_usage(client: QdrantClient) -> None:
    with pytest.raises(UsageError, match="name of the collection is empty"):
        Collection(client, "")
