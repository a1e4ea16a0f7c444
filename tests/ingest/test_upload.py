"""Points over gRPC, where that is the same server, and over REST: nothing lost, nothing doubled."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import LoadReport, Passage, QdrantLoader, connect
from rdr_qdrant.client import may_have_grpc, retry
from rdr_qdrant.collection import Collection, Point, upload
from rdr_qdrant.errors import StoreError
from tests.support.faults import (
    Fault,
    HalfAnswer,
    ResetAfter,
    ResetBefore,
    Restart,
    Slow,
    StallAfter,
    StallBefore,
    Status,
)
from tests.support.fixed_encoder import IDENTITY, FixedEncoder
from tests.support.qdrant_grpc_server import QdrantGRPCServer
from tests.support.qdrant_http_server import QdrantHTTPServer

NAME = "c"
COUNT = 200
VECTORS = np.random.default_rng(0).standard_normal((COUNT, 8)).astype(np.float32)
UPSERT = "GRPC /Points/Upsert"
PUT = "PUT /collections/{collection_name}/points"


@pytest.fixture(autouse=True)
def _retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(retry, "LONGEST_WAIT_SECONDS", 0.02)


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[QdrantClient]:
    """The engine behind the servers."""
    client = connect(path=tmp_path / "behind")
    yield client
    client.close()


@pytest.fixture
def rest(behind: QdrantClient) -> Iterator[QdrantHTTPServer]:
    with QdrantHTTPServer(behind) as server:
        yield server


@pytest.fixture
def grpc(behind: QdrantClient) -> Iterator[QdrantGRPCServer]:
    with QdrantGRPCServer(behind) as server:
        yield server


def passages() -> list[Passage]:
    """Their ids are of both kinds, their metadata of all."""
    dice = random.Random(0)
    made = []
    for number in range(COUNT):
        metadata = {"year": number, "weight": dice.random(), "tags": ["é", None], "in": {"a": True}}
        if number == 5:
            metadata["big"] = 2**64 - 1
        identifier = str(number) if number % 2 else f"{number}#part"
        made.append(Passage(identifier, f"text {number} \U0001f600", "title", metadata))
    return made


def load(client: QdrantClient, **options: Any) -> LoadReport:
    loader = QdrantLoader(
        embeddings=FixedEncoder(VECTORS, part=64), client=client, collection_name=NAME, **options
    )
    return loader.load(passages())


def stored(client: QdrantClient, name: str = NAME) -> dict[Any, Any]:
    found, _ = client.scroll(name, limit=10 * COUNT, with_vectors=True)
    assert len({str(one.id) for one in found}) == len(found)
    return {str(one.id): (one.payload, one.vector) for one in found}


@pytest.mark.parametrize("vector_name", ["", "text"])
def test_the_collection_is_the_same_over_rest_grpc_and_in_the_folder(
    behind: QdrantClient,
    rest: QdrantHTTPServer,
    grpc: QdrantGRPCServer,
    caplog: pytest.LogCaptureFixture,
    vector_name: str,
) -> None:
    load(behind, vector_name=vector_name)
    folder = stored(behind)
    behind.delete_collection(NAME)
    load(connect(rest.url), vector_name=vector_name)
    over_rest = stored(behind)
    behind.delete_collection(NAME)
    assert not grpc.requests
    rest.requests.clear()
    report = load(connect(rest.url, grpc_port=grpc.port), vector_name=vector_name)
    assert report.uploaded == report.verified == report.points == COUNT
    assert stored(behind) == over_rest == folder
    assert grpc.requests[UPSERT] == 3
    assert rest.requests[PUT] == 1  # the 64 points with an integer that protobuf cannot hold
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_points_with_sparse_vectors_are_the_same_on_all_ways(
    behind: QdrantClient, rest: QdrantHTTPServer, grpc: QdrantGRPCServer
) -> None:
    found = []
    modifier = models.SparseVectorNameConfig(
        sparse=models.SparseVectorConfig(modifier=models.Modifier.IDF)
    )
    sparse = models.SparseVector(indices=[9, 4], values=[0.5, 2.0])
    points = [Point(n, VECTORS[n, :4], {"n": n}, sparse) for n in range(COUNT)]
    for client in (behind, connect(rest.url), connect(rest.url, grpc_port=grpc.port)):
        Collection(behind, NAME).create(IDENTITY)
        behind.create_vector_name(NAME, "bm25", modifier)
        Collection(client, NAME).points.upsert(points)
        found.append(stored(behind))
        behind.delete_collection(NAME)
    assert found[0] == found[1] == found[2]
    assert grpc.requests[UPSERT] == 1


KINDS: list[Fault] = [
    ResetBefore(),
    ResetAfter(),
    HalfAnswer(),
    StallBefore(0.02),
    StallAfter(0.02),
    Slow(0.02),
    Restart(0.05),
    Status(429),
    Status(429, {"Retry-After": "0"}),
    Status(500),
    Status(502),
    Status(503),
    Status(504),
]


def test_a_grpc_port_that_fails_all_the_time_loses_and_doubles_nothing(
    behind: QdrantClient,
    rest: QdrantHTTPServer,
    grpc: QdrantGRPCServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upload, "POINTS_WORTH_GRPC", 1)
    monkeypatch.setattr(upload, "SHORTEST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(upload, "PAUSE_PER_WAIT", 0.0)
    client = connect(rest.url, grpc_port=grpc.port)
    grpc.faults.chaos(0.5, seed=3, kinds=KINDS, match=UPSERT)
    loader = QdrantLoader(
        embeddings=FixedEncoder(VECTORS, part=4), client=client, collection_name=NAME
    )
    report = loader.load(passages())
    assert report.uploaded == report.verified == report.points == COUNT
    assert sum(grpc.faults.faulted.values()) > 10
    over_grpc = stored(behind)
    behind.delete_collection(NAME)
    load(behind)
    assert over_grpc == stored(behind)


def test_a_port_that_belongs_to_another_server_gets_no_point(
    behind: QdrantClient,
    rest: QdrantHTTPServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Be it one without the collection, or with one of the same name."""
    with ExitStack() as stack:
        other = stack.enter_context(connect(path=tmp_path / "other"))
        grpc = stack.enter_context(QdrantGRPCServer(other))
        for words in ("does not serve it (NOT_FOUND: ", "belongs to another Qdrant"):
            caplog.clear()
            report = load(
                connect(rest.url, grpc_port=grpc.port), recreate=behind.collection_exists(NAME)
            )
            assert report.uploaded == report.verified == COUNT
            [line] = caplog.messages
            assert "are sent over REST, which takes more of this machine's time: " in line
            assert f"gRPC port {grpc.port} {words}" in line
            Collection(other, NAME).create(IDENTITY)
        assert other.count(NAME).count == 0
        assert not grpc.requests[UPSERT]


def test_a_port_where_nothing_answers_costs_one_line(
    behind: QdrantClient, rest: QdrantHTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    with QdrantGRPCServer(behind) as gone:
        pass
    assert load(connect(rest.url, grpc_port=gone.port)).verified == COUNT
    [line] = caplog.messages
    assert f"gRPC port {gone.port} does not serve it (UNAVAILABLE: " in line
    assert "\n" not in line


def test_points_go_over_rest_when_grpc_dies_half_way_and_over_grpc_again(
    behind: QdrantClient,
    rest: QdrantHTTPServer,
    grpc: QdrantGRPCServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Collection(behind, NAME).create(IDENTITY)
    points = Collection(connect(rest.url, grpc_port=grpc.port), NAME).points
    batch = [Point(n, VECTORS[n, :4], {}) for n in range(64)]
    points.upsert(batch)
    grpc.stop()
    points.upsert(batch)
    assert (grpc.requests[UPSERT], rest.requests[PUT]) == (1, 1)
    points.upsert(batch)
    [line] = caplog.messages
    assert "more of this machine's time: gRPC failed (UNAVAILABLE: " in line
    grpc.start()
    monkeypatch.setattr(upload.time, "monotonic", lambda: 1e9)  # the pause is over
    points.upsert(batch)
    assert (grpc.requests[UPSERT], rest.requests[PUT]) == (2, 2)
    assert len(caplog.messages) == 1
    assert behind.count(NAME).count == 64


def test_what_the_server_refuses_is_not_sent_over_rest(
    behind: QdrantClient, rest: QdrantHTTPServer, grpc: QdrantGRPCServer
) -> None:
    Collection(behind, NAME).create(IDENTITY)
    points = Collection(connect(rest.url, grpc_port=grpc.port), NAME).points
    batch = [Point(n, VECTORS[n, :4], {}) for n in range(64)]
    grpc.inject(Status(429, body="Rate limiting exceeded"), match=UPSERT)
    with pytest.raises(StoreError, match="RESOURCE_EXHAUSTED"):
        points.upsert(batch)
    grpc.inject(Status(413, body="Sent message larger than max (9 vs. 8)"), match=UPSERT)
    assert points.upsert(batch).too_large == []
    body = "Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes"
    for code in (400, 413):
        grpc.inject(Status(code, body=body), match=UPSERT)
        assert points.upsert(batch).too_large == []
    assert grpc.requests[UPSERT] == 10
    assert not rest.requests[PUT]


def test_a_client_that_prefers_grpc_sends_all_points_over_it(
    behind: QdrantClient, grpc: QdrantGRPCServer
) -> None:
    Collection(behind, NAME).create(IDENTITY)
    client = QdrantClient(
        url="http://127.0.0.1:1", grpc_port=grpc.port, prefer_grpc=True, check_compatibility=False
    )
    points = Collection(client, NAME).points
    points.upsert([Point(1, VECTORS[1, :4], {})])
    assert behind.count(NAME).count == 1
    grpc.inject(Status(503), match=UPSERT)
    with pytest.raises(StoreError, match="failed over gRPC"):
        points.upsert([Point(2, VECTORS[2, :4], {})])


def test_a_request_over_the_size_limit_is_halved(
    behind: QdrantClient,
    rest: QdrantHTTPServer,
    grpc: QdrantGRPCServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Collection(behind, NAME).create(IDENTITY)
    batch = [Point(n, VECTORS[n, :4], {"text": "x" * 500}) for n in range(128)]
    monkeypatch.setattr(upload, "MAX_REQUEST_BYTES", 20_000)
    for client in (connect(rest.url), connect(rest.url, grpc_port=grpc.port)):
        assert Collection(client, NAME).points.upsert(batch).too_large == []
    assert (rest.requests[PUT], grpc.requests[UPSERT]) == (4, 4)
    assert behind.count(NAME).count == 128


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"url": "http://127.0.0.1:6333"}, True),
        ({"url": "http://127.0.0.1"}, True),
        ({"url": "https://xyz.cloud.example:6333"}, True),
        ({"host": "localhost", "grpc_port": 7777}, True),
        ({"url": "http://127.0.0.1:8080", "grpc_port": 7777}, True),
        ({"url": "http://127.0.0.1:8080"}, False),
        ({"url": "https://host.example:443"}, False),
        ({"url": "https://host.example:6333/qdrant"}, False),
        ({"location": ":memory:"}, False),
    ],
)
def test_grpc_is_asked_where_qdrants_own_port_is_or_one_is_named(
    options: dict[str, Any], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    client = QdrantClient(check_compatibility=False, **options)
    assert may_have_grpc(client) is expected
    if options.get("url") == "https://xyz.cloud.example:6333":
        monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
        assert may_have_grpc(client) is False


def test_a_few_points_do_not_ask_for_grpc(rest: QdrantHTTPServer, grpc: QdrantGRPCServer) -> None:
    loader = QdrantLoader(
        embeddings=FixedEncoder(VECTORS),
        client=connect(rest.url, grpc_port=grpc.port),
        collection_name=NAME,
    )
    assert loader.load(passages()[:63]).uploaded == 63
    assert not grpc.requests
