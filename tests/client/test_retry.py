"""Which failures are retried, for how long, and which are reported at once."""

from __future__ import annotations

import asyncio
import email.utils
import threading
import time
from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import connect, connect_async
from rdr_qdrant.client import (
    RateLimitedError,
    RequestTooLargeError,
    RetryPolicy,
    SearchRetryPolicy,
    retry,
)
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
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.01)


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
def test_transient_failures_are_retried(
    server: QdrantHTTPServer, client: QdrantClient, fault: Fault
) -> None:
    reasons: list[str] = []
    policy = RetryPolicy(10, lambda why, seconds: reasons.append(why))
    server.inject(fault)
    assert policy(client, client.get_collections).collections == []
    assert policy.retries == len(reasons) >= 1


@pytest.mark.parametrize("code", [400, 404, 409, 422])
def test_other_refusals_are_not_retried_and_keep_the_servers_message(
    server: QdrantHTTPServer, client: QdrantClient, code: int
) -> None:
    server.inject(Status(code))
    policy = RetryPolicy(10)
    with pytest.raises(StoreError, match=rf"\({code}\): Injected fault: {code}"):
        policy(client, client.get_collections)
    assert policy.retries == 0


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_in_seconds_is_honoured(
    server: QdrantHTTPServer, client: QdrantClient, code: int
) -> None:
    server.inject(Status(code, {"Retry-After": "1"}))
    started = time.monotonic()
    RetryPolicy(10)(client, client.get_collections)
    assert 1.0 <= time.monotonic() - started < 3.0


def test_retry_after_as_a_date_is_honoured(server: QdrantHTTPServer, client: QdrantClient) -> None:
    date = email.utils.formatdate(time.time() + 2, usegmt=True)
    server.inject(Status(429, {"Retry-After": date}))
    waits: list[float] = []
    RetryPolicy(10, lambda why, seconds: waits.append(seconds))(client, client.get_collections)
    assert 0.5 < waits[0] <= 2


def test_a_retry_after_beyond_the_limit_fails_at_once(
    server: QdrantHTTPServer, client: QdrantClient
) -> None:
    server.inject(Status(429, {"Retry-After": "3600"}))
    with pytest.raises(StoreError, match="429"):
        RetryPolicy(10)(client, client.get_collections)


def test_retries_end_when_the_time_is_up(server: QdrantHTTPServer, client: QdrantClient) -> None:
    policy = RetryPolicy(0.3)
    started = time.monotonic()
    with server.away(), pytest.raises(StoreError, match="does not answer"):
        policy(client, client.get_collections)
    assert policy.retries >= 2
    assert time.monotonic() - started < 2


def test_nothing_is_retried_after_stop_is_set(
    server: QdrantHTTPServer, client: QdrantClient
) -> None:
    stop = threading.Event()
    policy = RetryPolicy(60, lambda why, seconds: stop.set(), stop)
    started = time.monotonic()
    with server.away(), pytest.raises(StoreError):
        policy(client, client.get_collections)
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

    wait = retry._BackoffOrRetryAfter(RetryPolicy())
    firsts = {wait(State()) for _ in range(50)}  # type: ignore[arg-type]
    assert len(firsts) > 40
    assert max(firsts) <= retry.FIRST_WAIT_SECONDS
    State.attempt_number = 30
    lates = [wait(State()) for _ in range(200)]  # type: ignore[arg-type]
    assert 20 < max(lates) <= retry.LONGEST_WAIT_SECONDS


LIMITED = (
    "Rate limiting exceeded: Read rate limit exceeded: Operation requires 1 tokens but only 0.1"
)


def limited(seconds: int) -> Status:
    return Status(429, {"retry-after": str(seconds)}, f'{{"status": {{"error": "{LIMITED}"}}}}')


def test_a_search_waits_for_a_rate_limit_and_for_nothing_else(
    server: QdrantHTTPServer, client: QdrantClient
) -> None:
    policy = SearchRetryPolicy()
    server.inject(limited(1))
    started = time.monotonic()
    assert policy(client, client.get_collections).collections == []
    assert time.monotonic() - started >= 1
    server.inject(limited(60))
    with pytest.raises(RateLimitedError, match="takes no more requests for now"):
        policy(client, client.get_collections)
    server.inject(Status(503))
    with pytest.raises(StoreError, match="503"):
        policy(client, client.get_collections)
    assert policy.retries == 1


def test_an_awaited_call_waits_without_blocking_the_event_loop(server: QdrantHTTPServer) -> None:
    async def ticks() -> int:
        client = await connect_async(url=server.url)
        server.inject(limited(1))
        policy = SearchRetryPolicy()
        waiting = asyncio.create_task(policy.run_async(client, client.get_collections))
        count = 0
        while not waiting.done():
            await asyncio.sleep(0.05)
            count += 1
        assert (await waiting).collections == []
        assert policy.retries == 1
        server.inject(limited(60))
        with pytest.raises(RateLimitedError):
            await policy.run_async(client, client.get_collections)
        await client.close()
        return count

    assert asyncio.run(ticks()) >= 3
