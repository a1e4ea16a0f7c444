"""The test server as a cluster: what each node knows, and a node that is away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from rdr_qdrant.embedded import EmbeddedQdrant
from tests.support.cluster import Cluster
from tests.support.qdrant_http_server import QdrantHTTPServer

PARAMS = models.VectorParams(size=4, distance=models.Distance.DOT)


class HandClock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def server(tmp_path: Path, clock: HandClock) -> Iterator[QdrantHTTPServer]:
    with (
        EmbeddedQdrant(tmp_path / "behind") as backend,
        QdrantHTTPServer(backend, cluster=Cluster((1.0, 3.0), clock=clock)) as server,
    ):
        yield server


@pytest.fixture
def client(server: QdrantHTTPServer) -> Iterator[QdrantClient]:
    client = QdrantClient(url=server.url, check_compatibility=False)
    yield client
    client.close()


def test_nodes_learn_of_a_change_one_after_another(client: QdrantClient, clock: HandClock) -> None:
    client.create_collection("c", PARAMS, metadata={"n": 1})
    assert not client.collection_exists("c")
    clock.now += 2.0
    assert {client.collection_exists("c") for _ in range(50)} == {False, True}
    clock.now += 1.0
    assert all(client.collection_exists("c") for _ in range(20))
    client.update_collection("c", metadata={"n": 2})
    assert client.get_collection("c").config.metadata == {"n": 1}
    clock.now += 3.0
    assert client.get_collection("c").config.metadata == {"n": 2}


def test_writes_to_a_node_that_does_not_know_of_a_deletion_are_lost(
    client: QdrantClient, clock: HandClock
) -> None:
    client.create_collection("c", PARAMS)
    clock.now += 3.0
    client.delete_collection("c")
    client.create_collection("c", PARAMS)
    client.upsert("c", [models.PointStruct(id=1, vector=[1, 0, 0, 0])])
    clock.now += 3.0
    assert client.count("c").count == 0


def test_a_node_that_is_away_takes_the_shards_without_another_copy(
    server: QdrantHTTPServer, client: QdrantClient, clock: HandClock
) -> None:
    client.create_collection("one", PARAMS, shard_number=6)
    client.create_collection("two", PARAMS, shard_number=6, replication_factor=2)
    clock.now += 3.0
    assert client.cluster_status().status == "enabled"
    assert client.collection_cluster_info("two").shard_count == 6
    assert server.cluster is not None
    server.cluster.node_down = True
    point = models.PointStruct(id=1, vector=[1, 0, 0, 0])
    client.upsert("two", [point])
    assert client.count("two").count == 1
    for ask in (lambda: client.count("one"), lambda: client.upsert("one", [point])):
        with pytest.raises(UnexpectedResponse, match="operations failed|shards failed"):
            ask()
