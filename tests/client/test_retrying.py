"""What is tried again, for how long, and what is told at once."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import connect
from rdr_qdrant.client import RequestTooLargeError, RetryPolicy
from rdr_qdrant.client import retry as retrying
from rdr_qdrant.errors import StoreError
from tests.support.faults import (
    Fault,
    HalfAnswer,
    ResetAfter,
    ResetBefore,
    Restart,
    StallBefore,
    Status,
)
from tests.support.qdrant_http_server import QdrantHTTPServer


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture
def server() -> Iterator[QdrantHTTPServer]:
    with QdrantHTTPServer() as server:
        yield server


@pytest.fixture
def client(server: QdrantHTTPServer) -> Iterator[QdrantClient]:
    client = connect(url=server.url)
    yield client
    client.close()


@pytest.mark.parametrize(
    "fault",
    [ResetBefore(), ResetAfter(), HalfAnswer(), StallBefore(0.05), Restart(0.1)]
    + [Status(code) for code in (408, 429, 500, 502, 503, 504)],
    ids=str,
)
def test_what_may_pass_is_tried_again(
    server: QdrantHTTPServer, client: QdrantClient, fault: Fault
) -> None:
    told: list[str] = []
    again = RetryPolicy(10, lambda why, seconds: told.append(why))
    server.inject(fault)
    assert again(client, client.get_collections).collections == []
    assert again.retries == len(told) >= 1


@pytest.mark.parametrize("code", [400, 404, 409, 422])
def test_other_refusals_are_told_at_once_in_the_servers_words(
    server: QdrantHTTPServer, client: QdrantClient, code: int
) -> None:
    server.inject(Status(code))
    again = RetryPolicy(10)
    with pytest.raises(StoreError, match=rf"\({code}\): Injected fault: {code}"):
        again(client, client.get_collections)
    assert again.retries == 0


@pytest.mark.parametrize("code", [429, 503])
def test_the_servers_wish_to_wait_is_honoured(
    server: QdrantHTTPServer, client: QdrantClient, code: int
) -> None:
    server.inject(Status(code, {"Retry-After": "1"}))
    started = time.monotonic()
    RetryPolicy(10)(client, client.get_collections)
    assert 1.0 <= time.monotonic() - started < 3.0


def test_a_wish_to_wait_until_a_date_is_honoured(
    server: QdrantHTTPServer, client: QdrantClient
) -> None:
    date = email.utils.formatdate(time.time() + 2, usegmt=True)
    server.inject(Status(429, {"Retry-After": date}))
    waits: list[float] = []
    RetryPolicy(10, lambda why, seconds: waits.append(seconds))(client, client.get_collections)
    assert 0.5 < waits[0] <= 2


def test_a_wish_to_wait_longer_than_allowed_is_told_at_once(
    server: QdrantHTTPServer, client: QdrantClient
) -> None:
    server.inject(Status(429, {"Retry-After": "3600"}))
    with pytest.raises(StoreError, match="429"):
        RetryPolicy(10)(client, client.get_collections)


def test_it_ends_when_the_time_is_up(server: QdrantHTTPServer, client: QdrantClient) -> None:
    again = RetryPolicy(0.3)
    started = time.monotonic()
    with server.away(), pytest.raises(StoreError, match="does not answer"):
        again(client, client.get_collections)
    assert again.retries >= 2
    assert time.monotonic() - started < 2


def test_nothing_is_tried_again_once_it_is_stopped(
    server: QdrantHTTPServer, client: QdrantClient
) -> None:
    stop = threading.Event()
    again = RetryPolicy(60, lambda why, seconds: stop.set(), stop)
    started = time.monotonic()
    with server.away(), pytest.raises(StoreError):
        again(client, client.get_collections)
    assert time.monotonic() - started < 5


def test_a_request_too_large_has_its_own_error(
    server: QdrantHTTPServer, client: QdrantClient
) -> None:
    body = '{"status": {"error": "Payload error: larger than allowed"}, "time": 0}'
    for fault in (Status(413), Status(400, body=body)):
        server.inject(fault)
        with pytest.raises(RequestTooLargeError):
            RetryPolicy(10)(client, client.get_collections)


def test_waits_grow_and_are_random() -> None:
    class State:
        attempt_number = 1
        outcome = None

    wait = retrying._Wait()
    firsts = {wait(State()) for _ in range(50)}  # type: ignore[arg-type]
    assert len(firsts) > 40
    assert max(firsts) <= retrying.FIRST_WAIT_SECONDS
    State.attempt_number = 30
    lates = [wait(State()) for _ in range(200)]  # type: ignore[arg-type]
    assert 20 < max(lates) <= retrying.LONGEST_WAIT_SECONDS
