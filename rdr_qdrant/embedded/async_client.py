"""`AsyncEmbeddedQdrant`: the same store behind `AsyncQdrantClient`, off the event loop."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from qdrant_client import AsyncQdrantClient

from rdr_qdrant.embedded.embedded_client import EmbeddedQdrant
from rdr_qdrant.embedded.errors import not_supported
from rdr_qdrant.embedded.local_backend import EmbeddedBackend
from rdr_qdrant.embedded.shard import Progress
from rdr_qdrant.embedded.storage import Folder

# The async client calls these without awaiting them.
_PLAIN = frozenset({"upload_points", "upload_collection"})


class AsyncEmbeddedQdrant(AsyncQdrantClient):
    """`EmbeddedQdrant` for `async` code: each call runs in a thread beside the event loop.

    The engine holds Python's interpreter lock during a call (milliseconds): the loop goes on
    between calls, and while an index is built. As in `AsyncQdrantClient`, `upload_points` and
    `upload_collection` are not awaited and block; await `upsert` instead where that matters.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the folder `path`, or make it. Raises StoreError as `EmbeddedQdrant` does."""
        self._become(EmbeddedBackend(Folder(Path(path))))

    @classmethod
    def sharing(cls, client: EmbeddedQdrant) -> Self:
        """The async face of an open `client`: one folder, opened once; closing either closes it."""
        shared = cls.__new__(cls)
        shared._become(client._client)
        return shared

    def _become(self, backend: EmbeddedBackend) -> None:
        super().__init__(location=":memory:")
        self._backend = backend
        self._client: Any = _InThread(backend)

    @property
    def path(self) -> Path:
        """The folder."""
        return self._backend.folder.path

    @property
    def init_options(self) -> NoReturn:
        """Refused: an `AsyncQdrantClient` made from it would be another store."""
        raise not_supported("init_options", "make an AsyncEmbeddedQdrant from its path")

    async def build_index(self, collection_name: str, progress: Progress | None = None) -> bool:
        """As `EmbeddedQdrant.build_index`; `progress` is called in another thread."""
        collection = self._backend.folder.collection(collection_name)
        return await asyncio.to_thread(collection.build_index, progress)

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


class _InThread:
    """A backend whose methods are awaited."""

    def __init__(self, backend: EmbeddedBackend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._backend, name)
        return method if name in _PLAIN else partial(asyncio.to_thread, method)
