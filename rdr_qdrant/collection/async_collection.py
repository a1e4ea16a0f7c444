"""A collection for `async` code: what a search needs of it, awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from rdr_qdrant.client import translate_client_errors
from rdr_qdrant.collection.bulk_indexing import missing
from rdr_qdrant.collection.collection import check_info
from rdr_qdrant.collection.filters import KnownIndexes
from rdr_qdrant.collection.points import PointId
from rdr_qdrant.collection.query import QueryOptions, query_requests
from rdr_qdrant.registry import PairIdentity

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, models

T = TypeVar("T")


class AsyncCollection:
    """`Collection` by an async client: its methods of the same names, awaited.

    Args:
        client: an `AsyncQdrantClient`, of a server or embedded.
        name: the collection's name.
        vector_name: the named vector to use; `""` is the unnamed one.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def __init__(self, client: AsyncQdrantClient, name: str, vector_name: str = "") -> None:
        self.client = client
        self.name = name
        self.vector_name = vector_name
        self._indexes = KnownIndexes()

    async def info(self) -> models.CollectionInfo:
        """Qdrant's own description of it.

        Raises:
            CollectionError: it is missing.
        """
        if not await self._ask(self.client.collection_exists(self.name)):
            there = (await self._ask(self.client.get_collections())).collections
            raise missing(self.client, self.name, there)
        return await self._ask(self.client.get_collection(self.name))

    async def check(self, identity: PairIdentity, *, allow_unverified: bool = False) -> None:
        """Refuse to go on where it does not fit the pair; see `Collection.check`."""
        info = await self.info()
        check_info(self.name, self.vector_name, info, identity, allow_unverified=allow_unverified)
        self._indexes.note(info)

    async def query_points(
        self, vectors: Any, **options: Unpack[QueryOptions]
    ) -> list[list[models.ScoredPoint]]:
        """For each vector, float32 [n, dim], the points with the highest inner product."""
        if self._indexes.outdated_for(options.get("filter")):
            self._indexes.note(await self._ask(self.client.get_collection(self.name)))
        requests = query_requests(vectors, self.vector_name, options, self._indexes.types)
        call = self.client.query_batch_points(self.name, requests=requests)
        return [response.points for response in await self._ask(call)]

    async def records(self, ids: Sequence[PointId]) -> list[models.Record]:
        """Those of these points that are there, with payload."""
        return await self._ask(self.client.retrieve(self.name, list(ids), with_payload=True))

    async def discard(self, ids: Sequence[PointId]) -> None:
        """Delete those of these points that are there."""
        await self._ask(self.client.delete(self.name, list(ids), wait=True))

    async def _ask(self, call: Awaitable[T]) -> T:
        with translate_client_errors(self.client):
            return await call
