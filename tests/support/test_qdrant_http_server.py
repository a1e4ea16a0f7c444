"""The test server against the real client over HTTP, and its faults seen from a raw socket."""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from tests.support.faults import (
    Fault,
    FaultPlan,
    HalfAnswer,
    ResetAfter,
    ResetBefore,
    Restart,
    Slow,
    StallAfter,
    StallBefore,
    Status,
)
from tests.support.qdrant_http_server import QdrantHTTPServer

UPSERT = "PUT .*/points"
UUID = "00000000-0000-4000-8000-00000000002a"


@pytest.fixture
def server() -> Iterator[QdrantHTTPServer]:
    with QdrantHTTPServer() as server:
        yield server


@pytest.fixture
def client(server: QdrantHTTPServer) -> Iterator[QdrantClient]:
    client = connected(server)
    client.create_collection("wiki", models.VectorParams(size=4, distance=models.Distance.DOT))
    yield client
    client.close()


def connected(server: QdrantHTTPServer, **options: object) -> QdrantClient:
    return QdrantClient(url=server.url, prefer_grpc=False, check_compatibility=False, **options)  # type: ignore[arg-type]


def point(point_id: int | str, **payload: object) -> models.PointStruct:
    return models.PointStruct(id=point_id, vector=[1.0, 0.0, 0.0, 2.0], payload=payload)


def put(server: QdrantHTTPServer, point_id: int = 1, timeout: float = 5) -> httpx.Response:
    body = {"points": [{"id": point_id, "vector": [1, 0, 0, 2]}]}
    url = f"{server.url}/collections/wiki/points?wait=true"
    return httpx.put(url, json=body, timeout=timeout)


def points_held(client: QdrantClient) -> int:
    return client.count("wiki").count


def error_of(response: httpx.Response) -> str:
    message = response.json()["status"]["error"]
    assert isinstance(message, str)
    return message


# Qdrant's calls


def test_collection_metadata_and_configuration_come_back(client: QdrantClient) -> None:
    metadata = {"probe": [0.125, -1e-7], "model": {"name": "rdr"}, "none": None}
    size_3 = models.VectorParams(size=3, distance=models.Distance.DOT)
    assert client.create_collection("b", size_3, metadata=metadata)

    config = client.get_collection("b").config
    assert config.metadata == metadata
    assert config.params.vectors == size_3

    assert client.update_collection("b", metadata={"model": "dpr"})
    assert client.get_collection("b").config.metadata == {**metadata, "model": "dpr"}
    assert {found.name for found in client.get_collections().collections} == {"wiki", "b"}


def test_a_collection_is_deleted_once(client: QdrantClient) -> None:
    assert client.collection_exists("wiki")
    assert client.delete_collection("wiki")
    assert not client.collection_exists("wiki")
    assert not client.delete_collection("wiki")


def test_points_and_batches_are_upserted_and_retrieved_exactly(client: QdrantClient) -> None:
    payload = {"page_content": "a", "metadata": {"id": "x", "n": None, "list": [1, 2.5, "é"]}}
    client.upsert("wiki", [point(2**64 - 1, **payload), point(UUID)])
    client.upsert("wiki", models.Batch(ids=[7], vectors=[[0, 0, 0, 0.1]], payloads=[{"k": 1}]))

    big, uuid, batched = client.retrieve("wiki", [2**64 - 1, UUID, 7], with_vectors=True)
    assert (big.id, big.payload, big.vector) == (2**64 - 1, payload, [1, 0, 0, 2])
    assert (uuid.id, uuid.payload) == (UUID, {})
    assert batched.payload == {"k": 1}
    assert batched.vector == pytest.approx([0, 0, 0, 0.1])


def test_upload_points_passes_every_batch(client: QdrantClient) -> None:
    client.upload_points("wiki", [point(n) for n in range(10)], batch_size=3, wait=True)
    assert points_held(client) == 10


def test_scroll_pages_through_all_points(client: QdrantClient) -> None:
    client.upsert("wiki", [point(n, n=n) for n in range(5)])
    seen: list[models.ExtendedPointId] = []
    offset: models.ExtendedPointId | None = None
    while True:
        page, offset = client.scroll("wiki", limit=2, offset=offset)
        seen += [record.id for record in page]
        if offset is None:
            break
    assert seen == [0, 1, 2, 3, 4]


def test_queries_answer_one_many_and_grouped(client: QdrantClient) -> None:
    client.upsert("wiki", [point(n, page=n % 2) for n in range(4)])
    only_odd = models.Filter(
        must=[models.FieldCondition(key="page", match=models.MatchValue(value=1))]
    )
    query = [1.0, 0.0, 0.0, 1.0]

    found = client.query_points("wiki", query=query, query_filter=only_odd, limit=10).points
    assert {hit.id for hit in found} == {1, 3}
    assert [(hit.score, hit.payload) for hit in found] == [(3.0, {"page": 1})] * 2
    request = models.QueryRequest(query=query, limit=1)
    first, second = client.query_batch_points("wiki", [request, request])
    assert first.points[0].payload is None
    assert len(second.points) == 1
    groups = client.query_points_groups("wiki", group_by="page", query=query, group_size=1).groups
    assert {group.id for group in groups} == {0, 1}


def test_payload_vectors_and_points_change(client: QdrantClient) -> None:
    client.upsert("wiki", [point(1, a=1), point(2, a=2)])
    two = models.Filter(must=[models.FieldCondition(key="a", match=models.MatchValue(value=2))])

    client.set_payload("wiki", {"b": 1}, points=[1])
    client.overwrite_payload("wiki", {"c": 1}, points=two)
    client.delete_payload("wiki", ["a"], points=[1])
    client.update_vectors("wiki", [models.PointVectors(id=1, vector=[0.0, 0.0, 0.0, 9.0])])
    one, other = client.retrieve("wiki", [1, 2], with_vectors=True)
    assert (one.payload, one.vector, other.payload) == ({"b": 1}, [0, 0, 0, 9], {"c": 1})

    client.delete("wiki", [1])
    client.batch_update_points(
        "wiki",
        [
            models.UpsertOperation(upsert=models.PointsList(points=[point(3)])),
            models.DeleteOperation(delete=models.PointIdsList(points=[2])),
        ],
    )
    assert [record.id for record in client.scroll("wiki")[0]] == [3]


def test_aliases_and_indexes_are_accepted(client: QdrantClient) -> None:
    client.update_collection_aliases(
        [
            models.CreateAliasOperation(
                create_alias=models.CreateAlias(collection_name="wiki", alias_name="w")
            )
        ]
    )
    client.upsert("w", [point(1)])
    assert points_held(client) == 1
    assert [alias.alias_name for alias in client.get_aliases().aliases] == ["w"]
    assert len(client.get_collection_aliases("wiki").aliases) == 1
    keyword = models.PayloadSchemaType.KEYWORD
    assert client.create_payload_index("wiki", "metadata.id", keyword).status == "completed"
    assert client.delete_payload_index("wiki", "metadata.id").status == "completed"


def test_a_write_without_wait_is_only_acknowledged(client: QdrantClient) -> None:
    assert client.upsert("wiki", [point(1)], wait=True).status == "completed"
    assert client.upsert("wiki", [point(1)], wait=False).status == "acknowledged"


def test_version_and_health_are_told(server: QdrantHTTPServer) -> None:
    client = QdrantClient(url=server.url)  # its own version check would warn, and so fail here
    assert client.info().version == "1.20.0"
    client.close()
    for path in ("/healthz", "/livez", "/readyz"):
        assert httpx.get(server.url + path).status_code == 200


# Qdrant's refusals


def refused(status: int, message: str) -> pytest.RaisesExc[UnexpectedResponse]:
    def is_it(error: UnexpectedResponse) -> bool:
        return error.status_code == status and error.structured()["status"]["error"] == message

    return pytest.RaisesExc(UnexpectedResponse, check=is_it)


def test_unknown_collections_and_points_are_not_found(client: QdrantClient) -> None:
    missing = "Not found: Collection `no` doesn't exist!"
    with refused(404, missing):
        client.get_collection("no")
    with refused(404, missing):
        client.upsert("no", [point(1)])
    with refused(404, missing):
        client.query_points("no", query=[1.0, 0.0, 0.0, 1.0])
    with refused(404, "Not found: No point with id 5 found"):
        client.set_payload("wiki", {"a": 1}, points=[5])


def test_an_existing_collection_is_not_created_again(client: QdrantClient) -> None:
    with refused(409, "Wrong input: Collection `wiki` already exists!"):
        client.create_collection("wiki", models.VectorParams(size=4, distance=models.Distance.DOT))


def test_vectors_of_another_dimension_are_refused(client: QdrantClient) -> None:
    wrong = "Wrong input: Vector dimension error: expected dim: 4, got 3"
    good_then_bad = [point(1), models.PointStruct(id=2, vector=[1.0, 0.0, 0.0])]
    with refused(400, wrong):
        client.upsert("wiki", good_then_bad)
    assert points_held(client) == 0
    client.upsert("wiki", [point(1)])
    with refused(400, wrong):
        client.query_points("wiki", query=[1.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("bad", "shown"),
    [(-1, "-1"), (2**64, "18446744073709552000"), ("passage 7", "passage 7")],
    ids=str,
)
def test_ids_that_qdrant_cannot_hold_are_refused(
    client: QdrantClient, bad: int | str, shown: str
) -> None:
    with refused(
        400,
        f"Format error in JSON body: value {shown} is not a valid point ID, "
        "valid values are either an unsigned integer or a UUID",
    ):
        client.upsert("wiki", [point(bad)])


def test_bad_bodies_and_limits_are_refused(server: QdrantHTTPServer, client: QdrantClient) -> None:
    url = f"{server.url}/collections/wiki/points"
    for body in (b"{", b"", b'{"points": [{"vector": [1]}]}', b'{"points": [], "other": 1}'):
        response = httpx.put(url, content=body)
        assert response.status_code == 400
        assert error_of(response).startswith("Format error in JSON body: ")
    with refused(
        422, "Validation error in JSON body: [limit: value 0 invalid, must be 1 or larger]"
    ):
        client.scroll("wiki", limit=0)


def test_unknown_calls_are_not_found_and_counted(server: QdrantHTTPServer) -> None:
    response = httpx.get(f"{server.url}/collections/wiki/nonsense")
    assert response.status_code == 404
    assert response.text == ""
    assert server.requests == {"GET /collections/wiki/nonsense": 1}


def test_a_backend_that_breaks_is_an_internal_error() -> None:
    backend = QdrantClient(":memory:")
    backend.close()
    with QdrantHTTPServer(backend) as server:
        response = httpx.get(f"{server.url}/collections")
    assert response.status_code == 500
    assert "closed" in error_of(response)


@pytest.mark.parametrize("status", [400, 413])
def test_bodies_over_the_limit_are_refused_unread(status: int) -> None:
    with QdrantHTTPServer(max_request_bytes=100, oversize_status=status) as server:
        response = httpx.put(f"{server.url}/collections/a/points", content=b" " * 101)
    assert response.status_code == status
    assert error_of(response) == (
        "JSON payload (101 bytes) is larger than allowed (limit: 100 bytes)."
    )


def test_an_api_key_opens_all_but_version_and_health() -> None:
    with QdrantHTTPServer(api_key="secret") as server:
        assert connected(server, api_key="secret").get_collections().collections == []
        url = f"{server.url}/collections"
        bearer = httpx.get(url, headers={"Authorization": "Bearer secret"})
        missing = httpx.get(url)
        wrong = httpx.get(url, headers={"api-key": "guess"})
        assert bearer.status_code == 200
        assert (missing.status_code, wrong.status_code) == (401, 401)
        assert missing.text == "Must provide an API key or an Authorization bearer token"
        assert wrong.text == "Invalid API key or JWT"
        assert httpx.get(server.url).status_code == 200
        assert httpx.get(f"{server.url}/readyz").status_code == 200


# The server itself


def test_one_connection_serves_many_requests(server: QdrantHTTPServer) -> None:
    with httpx.Client() as http:
        streams = {
            http.get(f"{server.url}/collections").extensions["network_stream"] for _ in range(3)
        }
    assert len(streams) == 1


def test_many_threads_write_at_once(server: QdrantHTTPServer, client: QdrantClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: client.upsert("wiki", [point(n)]), range(64)))
    assert points_held(client) == 64
    assert server.requests["PUT /collections/{collection_name}/points"] == 64


def test_requests_and_bytes_are_counted(server: QdrantHTTPServer) -> None:
    url = f"{server.url}/collections/a/points?wait=true"
    httpx.put(url, content=b"12345")
    httpx.put(url, content=b"678")
    assert server.requests == {"PUT /collections/{collection_name}/points": 2}
    assert server.bytes_received == 8


def test_the_backend_is_used_by_one_thread_at_a_time() -> None:
    class Watched(QdrantClient):
        busy, overlaps = False, 0

        def get_collections(self, **kwargs: Any) -> models.CollectionsResponse:
            self.overlaps += self.busy
            self.busy = True
            time.sleep(0.005)
            self.busy = False
            return super().get_collections(**kwargs)

    backend = Watched(":memory:")
    with QdrantHTTPServer(backend) as server, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(httpx.get, [f"{server.url}/collections"] * 8))
    assert {answer.status_code for answer in answers} == {200}
    assert backend.overlaps == 0


def test_a_request_that_ends_early_is_not_done(server: QdrantHTTPServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"POST /collections/aliases HTTP/1.1\r\nContent-Length: 99\r\n\r\n{}")
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(1) == b""
    assert not server.requests


def test_clients_that_leave_cause_no_noise(
    server: QdrantHTTPServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.inject(Slow(0.05))
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"GET /collections HTTP/1.1\r\n\r\n")
        while not server.faulted[Slow]:
            time.sleep(0.001)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    time.sleep(0.1)
    httpx.get(f"{server.url}/nonsense")
    assert capfd.readouterr() == ("", "")


def test_data_and_port_outlive_a_stop(server: QdrantHTTPServer, client: QdrantClient) -> None:
    client.upsert("wiki", [point(1)])
    url = server.url
    with server.away(), pytest.raises(httpx.ConnectError, match="refused"):
        put(server)
    assert server.url == url
    assert points_held(client) == 1


def test_a_stop_cuts_idle_connections(server: QdrantHTTPServer) -> None:
    with httpx.Client(base_url=server.url) as http:
        http.get("/collections")
        stream = http.get("/collections").extensions["network_stream"]
        server.stop()
        connection = stream.get_extra_info("socket")
        assert select.select([connection], [], [], 5)[0], "the server's end is still open"
        assert connection.recv(1) == b""


def test_nothing_is_written_after_a_stop(server: QdrantHTTPServer, client: QdrantClient) -> None:
    server.inject(Slow(0.2), match=UPSERT)
    with ThreadPoolExecutor(1) as pool:
        write = pool.submit(put, server)
        while not server.faulted[Slow]:
            time.sleep(0.001)
        server.stop()
        assert isinstance(write.exception(timeout=5), httpx.TransportError)
    time.sleep(0.25)
    server.start()
    assert points_held(client) == 0


# Faults


def test_a_status_is_answered_and_nothing_done(
    server: QdrantHTTPServer, client: QdrantClient
) -> None:
    server.inject(Status(503), times=2, match=UPSERT)
    assert [put(server).status_code for _ in range(3)] == [503, 503, 200]
    server.inject(Status(502, {"X-Proxy": "yes"}, body="<html>"), match=UPSERT)
    response = put(server, point_id=2)
    assert (response.status_code, response.headers["x-proxy"], response.text) == (
        502,
        "yes",
        "<html>",
    )
    assert points_held(client) == 1
    assert server.faulted == {Status: 3}


def test_the_client_sees_retry_after(server: QdrantHTTPServer, client: QdrantClient) -> None:
    server.inject(Status(429, {"Retry-After": "3"}), match=UPSERT)
    with pytest.raises(ResourceExhaustedResponse) as raised:
        client.upsert("wiki", [point(1)])
    assert raised.value.retry_after_s == 3


@pytest.mark.parametrize(
    ("fault", "done"), [(ResetBefore(), 0), (ResetAfter(), 1)], ids=["before", "after"]
)
def test_a_reset_connection_comes_before_or_after_the_write(
    server: QdrantHTTPServer, client: QdrantClient, fault: ResetBefore | ResetAfter, done: int
) -> None:
    server.inject(fault, match=UPSERT)
    with pytest.raises(httpx.ReadError, match="reset by peer"):
        put(server)
    assert points_held(client) == done


@pytest.mark.parametrize(
    ("fault", "done"), [(StallBefore(5), 0), (StallAfter(5), 1)], ids=["before", "after"]
)
def test_a_stall_outlasts_the_client(
    server: QdrantHTTPServer, client: QdrantClient, fault: StallBefore | StallAfter, done: int
) -> None:
    server.inject(fault, match=UPSERT)
    with pytest.raises(httpx.ReadTimeout):
        put(server, timeout=0.1)
    assert points_held(client) == done


def test_a_stall_ends_in_a_hang_up(server: QdrantHTTPServer, client: QdrantClient) -> None:
    server.inject(StallBefore(0.05), match=UPSERT)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        put(server)


def test_half_an_answer_follows_a_whole_write(
    server: QdrantHTTPServer, client: QdrantClient
) -> None:
    server.inject(HalfAnswer(), match=UPSERT)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        put(server)
    assert points_held(client) == 1


def test_a_slow_write_lands_after_its_client_left(
    server: QdrantHTTPServer, client: QdrantClient
) -> None:
    server.inject(Slow(0.3), match=UPSERT)
    with pytest.raises(httpx.ReadTimeout):
        put(server, timeout=0.02)
    assert points_held(client) == 0
    deadline = time.monotonic() + 5
    while points_held(client) == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert points_held(client) == 1


def test_a_restart_refuses_connections_and_then_serves(
    server: QdrantHTTPServer, client: QdrantClient
) -> None:
    server.inject(Restart(0.4), match=UPSERT)
    with pytest.raises(ResponseHandlingException):
        client.upsert("wiki", [point(1)])
    with pytest.raises(ResponseHandlingException, match="refused"):
        client.upsert("wiki", [point(1)])
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            client.upsert("wiki", [point(1)])
            break
        except ResponseHandlingException:
            time.sleep(0.01)
    assert points_held(client) == 1


def test_a_fault_waits_for_the_request_it_matches(
    server: QdrantHTTPServer, client: QdrantClient
) -> None:
    server.inject(Status(500), match="PUT .*/points")
    client.get_collection("wiki")
    assert httpx.get(server.url).status_code == 200
    assert not server.faulted
    assert put(server).status_code == 500


def test_cleared_faults_do_not_happen(server: QdrantHTTPServer, client: QdrantClient) -> None:
    server.inject(ResetBefore(), times=9)
    server.chaos(rate=1.0, seed=0, kinds=[ResetBefore()])
    server.clear_faults()
    assert put(server).status_code == 200


def test_chaos_is_the_same_for_the_same_seed() -> None:
    def fates(seed: int) -> list[object]:
        plan = FaultPlan()
        plan.chaos(rate=0.3, seed=seed, kinds=[ResetBefore(), Status(503)], match=UPSERT)
        assert plan.take("GET /collections") is None
        return [plan.take("PUT /collections/wiki/points") for _ in range(1000)]

    first = fates(1)
    assert first == fates(1)
    assert first != fates(2)
    assert 0.25 < sum(fate is not None for fate in first) / 1000 < 0.35
    assert {type(fate) for fate in first if fate} == {ResetBefore, Status}


def test_retries_outlive_chaos(server: QdrantHTTPServer, client: QdrantClient) -> None:
    kinds: list[Fault] = [ResetBefore(), ResetAfter(), HalfAnswer(), Status(503), Restart(0.01)]
    server.chaos(rate=0.4, seed=3, kinds=kinds, match=UPSERT)

    def upsert_until_done(point_id: int) -> None:
        while True:
            try:
                client.upsert("wiki", [point(point_id)])
                return
            except (ResponseHandlingException, UnexpectedResponse):
                time.sleep(0.002)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upsert_until_done, range(40)))
    server.clear_faults()
    assert points_held(client) == 40
    assert set(server.faulted) == {type(kind) for kind in kinds}


# As a process


def serve(*arguments: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.qdrant_server", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_killed_process_comes_back_on_its_port_with_its_data(tmp_path: Path) -> None:
    process, url = serve("--path", str(tmp_path), "--api-key-env", "KEY_OF_TEST", KEY_OF_TEST="k")
    try:
        assert httpx.get(f"{url}/collections").status_code == 401
        client = QdrantClient(url=url, api_key="k", check_compatibility=False)
        client.create_collection("wiki", models.VectorParams(size=4, distance=models.Distance.DOT))
        client.upsert("wiki", [point(1, a=1)])
        kill(process)
        port = url.rpartition(":")[2]
        process, again = serve("--path", str(tmp_path), "--port", port)
        assert again == url
        assert client.retrieve("wiki", [1])[0].payload == {"a": 1}
        client.close()
    finally:
        kill(process)
