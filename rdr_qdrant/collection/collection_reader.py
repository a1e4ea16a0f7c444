"""`CollectionReader`: look-ups and searches, written once for sync and async clients."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from rdr_qdrant.client import CollectionNotFoundError, LimitExceededError, RequestTooLargeError
from rdr_qdrant.collection.client_calls import ClientCalls
from rdr_qdrant.collection.collection_state import CollectionState
from rdr_qdrant.collection.filters import (
    condition_keys,
    has_value,
    no_results_message,
    to_qdrant_filter,
    with_ids,
)
from rdr_qdrant.collection.json_path import metadata_paths
from rdr_qdrant.collection.limits import StrictLimits, parts
from rdr_qdrant.collection.neighbors import NEIGHBOR_FIELDS, join_neighbors, neighbor_ids
from rdr_qdrant.collection.payload import METADATA_KEY, stored_metadata
from rdr_qdrant.collection.point_encoding import PointId
from rdr_qdrant.collection.query import (
    QueryOptions,
    Questions,
    compares_words,
    fused_scores,
    query_requests,
    requests_within_limits,
    scored_points,
)
from rdr_qdrant.errors import StoreError, UsageError

if TYPE_CHECKING:
    from qdrant_client import models

logger = logging.getLogger(__name__)

Hits = list[list["models.ScoredPoint"]]
"""The points found for each question, best first."""


class CollectionReader:
    """Reads and searches a collection, within the limits of strict mode.

    Args:
        name: of the collection.
        vector_name: the named vector to use; `""` is the unnamed one.
        call: makes the calls, of a sync client (see `run_now`) or an async one.

    Attributes:
        state: what was last read of the collection.

    Raises:
        UsageError: the name is empty.
    """

    def __init__(self, name: str, vector_name: str, call: ClientCalls) -> None:
        if not name:
            raise UsageError("The name of the collection is empty: give one with -c NAME.")
        self.state = CollectionState(name)
        self._name = name
        self._vector_name = vector_name
        self._call = call

    async def find_info(self) -> models.CollectionInfo | None:
        """Return Qdrant's own description of the collection; `None` if it does not exist."""
        try:
            info = await self._call(lambda client: client.get_collection(self._name))
        except CollectionNotFoundError:
            return None
        self.state.update(info)
        return info

    async def limits(self) -> StrictLimits:
        """Return the limits; read once, then whenever the collection is described."""
        if not self.state.was_read:
            await self.find_info()
        return self.state.limits

    async def retrieve(self, ids: Sequence[PointId], **options: Any) -> list[models.Record]:
        """Look points up; where reads are limited as a page, which costs as little as one point.

        Args:
            ids: of the points.
            options: `with_payload` and `with_vectors` of `QdrantClient.retrieve`.
        """
        if (await self.limits()).reads_per_minute is None:
            try:
                return await self._call(
                    lambda client: client.retrieve(self._name, list(ids), **options)
                )
            except RequestTooLargeError:
                await self.find_info()  # the limit is new
                if self.state.limits.reads_per_minute is None:
                    raise
        return await self.retrieve_matching(ids, None, **options)

    async def retrieve_matching(
        self, ids: Sequence[PointId], matching: models.Filter | None, **options: Any
    ) -> list[models.Record]:
        """Return those of these points that match; options as those of `retrieve`."""
        found: list[models.Record] = []
        for part in parts(ids, (await self.limits()).lookup_size):
            options["scroll_filter"] = with_ids(part, matching)
            page, offset = await self.page(len(part), **options)
            found += page
            while offset is not None:
                page, offset = await self.page(len(part), offset, **options)
                found += page
        return found

    async def page(
        self, size: int, offset: Any = None, **options: Any
    ) -> tuple[list[models.Record], Any]:
        """Return a page of points and the offset of the next one, `None` after the last.

        Args:
            size: most points of a page; fewer where the collection has a lower limit.
            offset: of this page; `None` is the first.
            options: further ones of `QdrantClient.scroll`.
        """
        limit = min(size, (await self.limits()).results or size)
        try:
            return await self._call(
                lambda client: client.scroll(self._name, limit=limit, offset=offset, **options)
            )
        except LimitExceededError as error:
            if not self.state.learn(error) or limit <= error.limit:
                raise
        return await self.page(size, offset, **options)

    async def query_points(self, questions: Questions, **options: Unpack[QueryOptions]) -> Hits:
        """Return for each question the best `k` points, in the mode of the options."""
        conditions = options.get("filter")
        limits, words = await self.limits(), compares_words(options)
        requests = query_requests(
            questions,
            self._vector_name,
            options,
            self.state.index_types,
            self.state.question_encoder(options.get("language")) if words else None,
            limits.results,
        )
        found: Hits = []
        for part in requests_within_limits(self._name, limits, requests, options):
            found += await self._query(part)
        if words:
            fused = fused_scores(found, options)
            ids = list({one for hits in fused for one, _ in hits})
            records = await self.retrieve(ids, with_payload=True) if ids else []
            found = scored_points(fused, records)
        if not any(found) and self.state.allows_lookup(conditions):
            message = await self.explain_no_results(conditions)
            if message:
                logger.warning("%s", message)
        return await self.with_neighbors(found, options.get("neighbors", 0), conditions)

    async def _query(self, requests: Sequence[models.QueryRequest]) -> Hits:
        answers = await self._call(
            lambda client: client.query_batch_points(self._name, requests=requests)
        )
        return [answer.points for answer in answers]

    async def with_neighbors(self, found: Hits, neighbors: int, conditions: Any) -> Hits:
        """Join to each hit the parts of its text before and after it, in one request for all."""
        ids, records = neighbor_ids(found, neighbors), []
        if ids:
            matching = to_qdrant_filter(conditions, self.state.index_types)
            records = await self.retrieve_matching(ids, matching, with_payload=NEIGHBOR_FIELDS)
        return join_neighbors(found, records, neighbors)

    async def explain_no_results(self, conditions: Any) -> str | None:
        """Describe why a filter may find nothing: it has metadata keys that no passage has."""
        try:
            if (await self.limits()).reads_per_minute:
                return None
            keys = condition_keys(conditions)
            unknown = [key for key in keys if not await self._is_used(key)]
            known = await self.sample_metadata_keys() if unknown else []
        except StoreError:
            return None
        return no_results_message(conditions, unknown, known)

    async def sample_metadata_keys(self, sample: int = 100) -> list[str]:
        """Return the metadata keys of up to `sample` points, sorted."""
        records, _ = await self.page(sample, with_payload=[METADATA_KEY])
        return sorted({key for record in records for key in stored_metadata(record.payload)})

    async def _is_used(self, key: str) -> bool:
        for path in metadata_paths(key):
            records, _ = await self.page(1, scroll_filter=has_value(path), with_payload=False)
            if records:
                return True
        return False
