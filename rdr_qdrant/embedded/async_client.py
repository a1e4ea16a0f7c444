"""`AsyncEmbeddedQdrant`: the embedded engine behind `AsyncQdrantClient`, off the event loop."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from qdrant_client import AsyncQdrantClient

from rdr_qdrant.embedded.embedded_client import EMBEDDED_FEATURES, EmbeddedQdrant
from rdr_qdrant.embedded.errors import not_supported
from rdr_qdrant.embedded.local_backend import LocalBackend
from rdr_qdrant.embedded.shard import ProgressCallback
from rdr_qdrant.embedded.storage import Storage

# AsyncQdrantClient calls these without awaiting them.
_NOT_AWAITED = frozenset({"upload_points", "upload_collection"})


class AsyncEmbeddedQdrant(AsyncQdrantClient):
    """`EmbeddedQdrant` for `async` code: each call runs in a thread beside the event loop.

    The engine holds Python's interpreter lock during a call (milliseconds): the event loop runs
    between calls, and while an index is built. As in `AsyncQdrantClient`, `upload_points` and
    `upload_collection` are not awaited and block; await `upsert` instead where that matters.
    """

    features = EMBEDDED_FEATURES

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the folder `path`. Raises EmbeddedQdrantError as `EmbeddedQdrant` does."""
        self._attach(LocalBackend(Storage(Path(path))))

    @classmethod
    def from_client(cls, client: EmbeddedQdrant) -> Self:
        """An async client of the folder that `client` has open; closing either closes both."""
        shared = cls.__new__(cls)
        shared._attach(client._client)
        return shared

    def _attach(self, backend: LocalBackend) -> None:
        super().__init__(location=":memory:")
        self._backend = backend
        self._client: Any = _ThreadedBackend(backend)

    @property
    def path(self) -> Path:
        """The folder."""
        return self._backend.storage.path

    @property
    def init_options(self) -> NoReturn:
        """Refused: an `AsyncQdrantClient` made from these would have other data."""
        raise not_supported("init_options", "make an AsyncEmbeddedQdrant from its path")

    async def build_index(
        self, collection_name: str, progress: ProgressCallback | None = None
    ) -> bool:
        """As `EmbeddedQdrant.build_index`; `progress` is called in another thread."""
        shard = self._backend.storage.shard(collection_name)
        return await asyncio.to_thread(shard.build_index, progress)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncEmbeddedQdrant({str(self.path)!r})"


class _ThreadedBackend:
    """A backend whose methods are awaited: each runs in a thread."""

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method: Any = getattr(self._backend, name)
        return method if name in _NOT_AWAITED else partial(asyncio.to_thread, method)
