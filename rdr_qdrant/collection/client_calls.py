"""Calls of a sync or an async client, for code that is written once for both.

Such code is a coroutine that waits for nothing but these calls. With a sync client none of them
waits, so that `run_now` returns its result without an event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from rdr_qdrant.client import RetryPolicy

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient

T = TypeVar("T")


class ClientCalls(Protocol):
    """Makes calls about one collection, retried by a policy.

    A request is typed with the sync client; the async one has the same methods, to be awaited.
    """

    async def __call__(self, request: Callable[[QdrantClient], T]) -> T:
        """Make a call and return its answer.

        Raises:
            StoreError: Qdrant does not answer or refuses.
        """


@dataclass(frozen=True, slots=True)
class SyncCalls:
    """Calls of a sync client, which block."""

    client: QdrantClient
    retry: RetryPolicy
    name: str

    async def __call__(self, request: Callable[[QdrantClient], T]) -> T:
        return self.retry(self.client, partial(request, self.client), self.name)


@dataclass(frozen=True, slots=True)
class AsyncCalls:
    """Calls of an async client."""

    client: AsyncQdrantClient
    retry: RetryPolicy
    name: str

    async def __call__(self, request: Callable[[QdrantClient], T]) -> T:
        client: Any = self.client

        async def answer() -> T:
            return await cast("Awaitable[T]", request(client))

        return await self.retry.run_async(client, answer, self.name)


def run_now(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that waits for `SyncCalls` alone."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return cast(T, finished.value)
    raise RuntimeError(f"{coroutine} waits, so it needs an event loop.")
