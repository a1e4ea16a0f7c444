"""A collection for `async` code: search, read and delete, awaited."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Unpack

from rdr_qdrant.client import RetryPolicy
from rdr_qdrant.collection.client_calls import AsyncCalls
from rdr_qdrant.collection.collection import check_info
from rdr_qdrant.collection.collection_reader import CollectionReader, Hits
from rdr_qdrant.collection.compatibility import loading_encoders
from rdr_qdrant.collection.connection import missing_collection_error
from rdr_qdrant.collection.info import identity_of
from rdr_qdrant.collection.limits import parts
from rdr_qdrant.collection.point_encoding import PointId
from rdr_qdrant.collection.query import QueryOptions, Questions
from rdr_qdrant.registry import PairIdentity

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, models


class AsyncCollection:
    """A collection of passages behind an async client; see `Collection` for its methods.

    Args:
        client: an `AsyncQdrantClient`, of a server or embedded.
        name: the name of the collection or of an alias.
        vector_name: the named vector to use; `""` is the unnamed one.
        retry: makes the calls; by default each is made once.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def __init__(
        self,
        client: AsyncQdrantClient,
        name: str,
        vector_name: str = "",
        retry: RetryPolicy | None = None,
    ) -> None:
        self.client = client
        self.name = name
        self.vector_name = vector_name
        self._call = AsyncCalls(client, retry or RetryPolicy(), name)
        self._reader = CollectionReader(name, vector_name, self._call)

    async def info(self) -> models.CollectionInfo:
        """Return Qdrant's own description of the collection.

        Raises:
            CollectionError: it does not exist.
        """
        info = await self._reader.find_info()
        if info is None:
            found = await self._call(lambda client: client.get_collections())
            raise missing_collection_error(self.client, self.name, found.collections)
        return info

    async def check(self, identity: PairIdentity, *, allow_unverified: bool = False) -> None:
        """Refuse a collection that does not fit the pair."""
        info = await self.info()
        check_info(self.name, self.vector_name, info, identity, allow_unverified=allow_unverified)

    async def loading_encoders(self, label: str) -> AbstractContextManager[None]:
        """Load the encoders of the pair `label` to use them with this collection."""
        info = await self.info()
        vectors = info.config.params.vectors
        return loading_encoders(self.name, identity_of(info), label, vectors, self.vector_name)

    async def query_points(self, questions: Questions, **options: Unpack[QueryOptions]) -> Hits:
        """Return for each question the best `k` points, in the mode of the options."""
        if self._reader.state.is_stale_for(options):
            await self.info()
        return await self._reader.query_points(questions, **options)

    async def with_neighbors(self, found: Hits, neighbors: int, conditions: Any) -> Hits:
        """Join to each hit the parts of its text before and after it."""
        return await self._reader.with_neighbors(found, neighbors, conditions)

    async def retrieve_records(self, ids: Sequence[PointId]) -> list[models.Record]:
        """Return those of these points that exist, with payload."""
        return await self._reader.retrieve(ids, with_payload=True)

    async def delete_points(self, ids: Sequence[PointId]) -> None:
        """Delete those of these points that exist."""
        for part in parts(ids, (await self._reader.limits()).write_size):
            await self._call(methodcaller("delete", self.name, list(part), wait=True))
