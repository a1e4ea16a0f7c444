"""A collection for `async` code: search, read and delete, awaited."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack

from rdr_qdrant.client import RetryPolicy
from rdr_qdrant.collection.bm25 import Bm25Cache
from rdr_qdrant.collection.collection import check_info
from rdr_qdrant.collection.compatibility import loading_encoders
from rdr_qdrant.collection.connection import missing_collection_error
from rdr_qdrant.collection.filters import (
    LookupThrottle,
    PayloadIndexCache,
    condition_keys,
    has_value,
    no_results_message,
    to_qdrant_filter,
)
from rdr_qdrant.collection.info import identity_of
from rdr_qdrant.collection.json_path import metadata_paths
from rdr_qdrant.collection.limits import KnownLimits, parts
from rdr_qdrant.collection.neighbors import NEIGHBOR_FIELDS, join_neighbors, neighbor_ids
from rdr_qdrant.collection.payload import METADATA_KEY
from rdr_qdrant.collection.point_encoding import PointId
from rdr_qdrant.collection.points import metadata_keys, with_ids
from rdr_qdrant.collection.query import (
    QueryOptions,
    Questions,
    compares_words,
    fused_scores,
    query_requests,
    requests_within_limits,
    scored_points,
)
from rdr_qdrant.errors import StoreError
from rdr_qdrant.registry import PairIdentity

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, models

logger = logging.getLogger(__name__)

T = TypeVar("T")


class AsyncCollection:
    """A collection of passages behind an async client.

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
        self._retry = retry or RetryPolicy()
        self.name = name
        self.vector_name = vector_name
        self._index_cache = PayloadIndexCache()
        self._lookup_throttle = LookupThrottle()
        self._known_limits = KnownLimits()
        self._bm25_cache = Bm25Cache()
        self._get_collection = partial(client.get_collection, name)

    async def info(self) -> models.CollectionInfo:
        """Return Qdrant's own description of the collection.

        Raises:
            CollectionError: it does not exist.
        """
        if not await self._await(partial(self.client.collection_exists, self.name)):
            found = (await self._await(self.client.get_collections)).collections
            raise missing_collection_error(self.client, self.name, found)
        return await self._await(self._get_collection)

    async def check(self, identity: PairIdentity, *, allow_unverified: bool = False) -> None:
        """Refuse a collection that does not fit the pair; see `Collection.check`."""
        info = await self.info()
        check_info(self.name, self.vector_name, info, identity, allow_unverified=allow_unverified)
        self._update_caches(info)

    async def loading_encoders(self, label: str) -> AbstractContextManager[None]:
        """Load the encoders of a pair to use them here; see `Collection.loading_encoders`."""
        return loading_encoders(self.name, identity_of(await self.info()), label)

    async def query_points(
        self, questions: Questions, **options: Unpack[QueryOptions]
    ) -> list[list[models.ScoredPoint]]:
        """Return for each question the best `k` points, in the mode of the options."""
        words = compares_words(options)
        if self._index_cache.is_stale_for(options.get("filter")) or (
            words and self._bm25_cache.is_stale
        ):
            self._update_caches(await self.info())
        bm25 = None
        if words:
            bm25 = self._bm25_cache.required_encoder(self.name, options.get("language"))
        limits = self._known_limits.get(lambda: None)
        requests = query_requests(
            questions, self.vector_name, options, self._index_cache.types, bm25, limits.results
        )
        found = []
        for part in requests_within_limits(self.name, limits, requests, options):
            call = partial(self.client.query_batch_points, self.name, requests=part)
            found += [response.points for response in await self._await(call)]
        if words:
            fused = fused_scores(found, options)
            ids = list({one for hits in fused for one, _ in hits})
            found = scored_points(fused, await self.retrieve_records(ids) if ids else [])
        if not any(found) and self._lookup_throttle.allows(options.get("filter")):
            message = await self.explain_no_results(options.get("filter"))
            if message:
                logger.warning("%s", message)
        return await self.with_neighbors(found, options.get("neighbors", 0), options.get("filter"))

    def _update_caches(self, info: models.CollectionInfo) -> None:
        self._index_cache.update(info)
        self._known_limits.update(info)
        self._bm25_cache.update(info)

    async def with_neighbors(
        self,
        found: list[list[models.ScoredPoint]],
        neighbors: int,
        conditions: Any,
    ) -> list[list[models.ScoredPoint]]:
        """Join to each hit the parts before and after it; see `Collection.with_neighbors`."""
        ids = neighbor_ids(found, neighbors)
        matching = to_qdrant_filter(conditions, self._index_cache.types) if ids else None
        records: list[models.Record] = []
        for part in parts(ids, self._known_limits.get(lambda: None).lookup_size):
            records += await self._scroll(len(part), with_ids(part, matching), NEIGHBOR_FIELDS)
        return join_neighbors(found, records, neighbors)

    async def explain_no_results(self, conditions: Any) -> str | None:
        """Describe why a filter may find nothing; see `Collection.explain_no_results`."""
        if self._known_limits.get(lambda: None).reads_per_minute:
            return None
        unknown: list[str] = []
        try:
            for key in condition_keys(conditions):
                pages = [await self._scroll(1, has_value(path)) for path in metadata_paths(key)]
                if not any(pages):
                    unknown.append(key)
            known = metadata_keys(await self._scroll(100)) if unknown else []
        except StoreError:
            return None
        return no_results_message(conditions, unknown, known)

    async def retrieve_records(self, ids: Sequence[PointId]) -> list[models.Record]:
        """Return those of these points that exist, with payload; see `Points.retrieve_records`."""
        limits = self._known_limits.get(lambda: None)
        if limits.reads_per_minute is None:
            call = partial(self.client.retrieve, self.name, list(ids), with_payload=True)
            return await self._await(call)
        pages = parts(ids, limits.lookup_size)
        found = [await self._scroll(len(part), with_ids(part), fields=True) for part in pages]
        return [record for page in found for record in page]

    async def delete_points(self, ids: Sequence[PointId]) -> None:
        """Delete those of these points that exist."""
        await self._await(partial(self.client.delete, self.name, list(ids), wait=True))

    async def _scroll(
        self,
        limit: int,
        scroll_filter: models.Filter | None = None,
        fields: Sequence[str] | Literal[True] = (METADATA_KEY,),
    ) -> list[models.Record]:
        call = partial(
            self.client.scroll,
            self.name,
            scroll_filter=scroll_filter,
            limit=limit,
            with_payload=True if fields is True else list(fields),
        )
        return (await self._await(call))[0]

    async def _await(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._retry.run_async(self.client, call, self.name)
