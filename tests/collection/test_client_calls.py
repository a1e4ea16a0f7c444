"""Code that is written once runs with a sync client and with an async one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rdr_qdrant.client import RetryPolicy
from rdr_qdrant.collection import AsyncCollection, Collection
from rdr_qdrant.collection.client_calls import AsyncCalls, ClientCalls, SyncCalls, run_now
from rdr_qdrant.errors import StoreError, UsageError


class FakeClient:
    """Counts, of no server; refuses the second number."""

    @property
    def http(self) -> Any:
        raise NotImplementedError

    def __init__(self) -> None:
        self.number = 0

    def next_number(self) -> int:
        self.number += 1
        if self.number == 2:
            raise ValueError("not 2")
        return self.number


class AsyncFakeClient(FakeClient):
    async def next_number(self) -> int:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().next_number()


async def count_to_three(call: ClientCalls) -> list[int]:
    def request(client: Any) -> int:
        return client.next_number()  # type: ignore[no-any-return]

    found = [await call(request)]
    with pytest.raises(StoreError, match="not 2"):
        await call(request)
    return [*found, await call(request)]


def test_one_coroutine_serves_both_clients() -> None:
    client: Any = FakeClient()
    assert run_now(count_to_three(SyncCalls(client, RetryPolicy(), "c"))) == [1, 3]
    client = AsyncFakeClient()
    assert asyncio.run(count_to_three(AsyncCalls(client, RetryPolicy(), "c"))) == [1, 3]


def test_a_coroutine_that_waits_needs_an_event_loop() -> None:
    with pytest.raises(RuntimeError, match="needs an event loop"):
        run_now(asyncio.sleep(0))


@pytest.mark.parametrize("kind", [Collection, AsyncCollection])
def test_an_empty_name_is_refused(kind: Any) -> None:
    with pytest.raises(UsageError, match="name of the collection is empty"):
        kind(None, "")
