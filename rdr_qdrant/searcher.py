"""`PassageSearcher`: searches a collection with a question encoder, with words, or with both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack
from weakref import WeakKeyDictionary

from rdr_qdrant.client import RetryPolicy, SearchRetryPolicy
from rdr_qdrant.collection import (
    AsyncCollection,
    Collection,
    Mode,
    QueryOptions,
    Questions,
    ScoredPassage,
    check_options,
    to_scored_passages,
)
from rdr_qdrant.collection.query import refuse_unknown_options
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.encoding import Side
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient, models


class PassageSearcher:
    """Searches one collection with one encoder pair; checks once that they match.

    The async methods use the async client. Without one they run in a thread, as the encoder
    always does.

    Args:
        embeddings: the pair; its question encoder embeds the questions.
        client: from `connect`, or any `QdrantClient`; `None` if only async methods are used.
        collection_name: the collection to search.
        async_client: from `connect_async`, or any `AsyncQdrantClient`, to the same Qdrant.
        vector_name: a named vector; `""` is the unnamed one.
        allow_unverified: accept a collection whose metadata does not name its encoders.
        search_params: Qdrant's `models.SearchParams`. Hits of a quantized collection are rescored
            with the original vectors unless they say otherwise.
        retry: makes the calls; by default see `SearchRetryPolicy`.

    Raises:
        UsageError: neither client is given, or (on use) a sync method needs the sync client.
        CollectionError: (on first use) the collection is missing or was made with another pair.
    """

    def __init__(
        self,
        embeddings: RDREmbeddings,
        client: QdrantClient | None,
        collection_name: str,
        *,
        async_client: AsyncQdrantClient | None = None,
        vector_name: str = "",
        allow_unverified: bool = False,
        search_params: models.SearchParams | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        names = (collection_name, vector_name)
        if client is None and async_client is None:
            raise UsageError(
                f"No client to search {collection_name!r} with: pass client=connect(...), "
                "async_client=await connect_async(...), or both."
            )
        self._search_params = search_params
        self._embeddings = embeddings
        retry = retry or SearchRetryPolicy()
        self._collection = None if client is None else Collection(client, *names, retry)
        self._async = None if async_client is None else AsyncCollection(async_client, *names, retry)
        self._allow_unverified = allow_unverified
        self._checked = False
        self._async_checked = False
        self._lock = threading.Lock()
        self._async_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            WeakKeyDictionary()
        )

    @property
    def collection(self) -> Collection:
        """The collection, through the sync client."""
        if self._collection is None:
            raise UsageError(
                "There is only an async client: use the async methods (ainvoke, abatch, astream), "
                "or pass client=connect(...) as well."
            )
        return self._collection

    @property
    def async_collection(self) -> AsyncCollection | None:
        """The collection, through the async client, if there is one."""
        return self._async

    def check(self, mode: Mode = "dense") -> None:
        """Check once that the collection was made with this pair, where the mode encodes.

        Raises:
            CollectionError: the collection is missing or was made with another pair.
        """
        if mode == "bm25":
            return
        with self._lock:
            if self._checked:
                return
            with self.collection.loading_encoders(self._embeddings.pair_label):
                identity = self._embeddings.identity(Side.QUESTION)
            self.collection.check(identity, allow_unverified=self._allow_unverified)
            self._checked = True

    async def acheck(self, mode: Mode = "dense") -> None:
        """Async version of `check`."""
        if mode == "bm25":
            return
        if self._async is None:
            await asyncio.to_thread(self.check)
            return
        loop = asyncio.get_running_loop()
        async with self._async_locks.setdefault(loop, asyncio.Lock()):
            if self._async_checked:
                return
            with await self._async.loading_encoders(self._embeddings.pair_label):
                identity = await asyncio.to_thread(self._embeddings.identity, Side.QUESTION)
            await self._async.check(identity, allow_unverified=self._allow_unverified)
            self._async_checked = True

    def search(
        self, questions: Sequence[str], **options: Unpack[QueryOptions]
    ) -> list[list[ScoredPassage]]:
        """Return the top `k` passages of each question, best first, with the mode's scores."""
        return self.search_prepared(self.prepare(questions, _mode(options)), **options)

    async def asearch(
        self, questions: Sequence[str], **options: Unpack[QueryOptions]
    ) -> list[list[ScoredPassage]]:
        """Async version of `search`."""
        prepared = await self.aprepare(questions, _mode(options))
        found = await self.asearch_points(prepared, **options)
        return [to_scored_passages(points) for points in found]

    def prepare(self, questions: Sequence[str], mode: Mode = "dense") -> Questions:
        """Embed questions with the question encoder, unless the mode compares words alone."""
        if mode == "bm25":
            return Questions(texts=questions)
        self.check()
        return Questions(self._embeddings.encode_questions(questions), questions)

    async def aprepare(self, questions: Sequence[str], mode: Mode = "dense") -> Questions:
        """Async version of `prepare`."""
        if self._async is None:
            return await asyncio.to_thread(self.prepare, questions, mode)
        if mode == "bm25":
            return Questions(texts=questions)
        await self.acheck()
        vectors = await asyncio.to_thread(self._embeddings.encode_questions, questions)
        return Questions(vectors, questions)

    def search_prepared(
        self, questions: Questions, **options: Unpack[QueryOptions]
    ) -> list[list[ScoredPassage]]:
        """`search` for questions that are prepared already."""
        return [to_scored_passages(points) for points in self.search_points(questions, **options)]

    def search_points(
        self, questions: Questions, **options: Unpack[QueryOptions]
    ) -> list[list[models.ScoredPoint]]:
        """`search_prepared` that returns Qdrant's own points."""
        self.check(_mode(options))
        return self.collection.query_points(questions, **self._complete(options))

    async def asearch_points(
        self, questions: Questions, **options: Unpack[QueryOptions]
    ) -> list[list[models.ScoredPoint]]:
        """Async version of `search_points`."""
        if self._async is None:
            return await asyncio.to_thread(self.search_points, questions, **options)
        await self.acheck(_mode(options))
        return await self._async.query_points(questions, **self._complete(options))

    def with_neighbors(
        self, points: list[models.ScoredPoint], neighbors: int, conditions: Any
    ) -> list[models.ScoredPoint]:
        """Join neighbors to the hits of one question; see `Collection.with_neighbors`."""
        [joined] = self.collection.with_neighbors([points], neighbors, conditions)
        return joined

    async def awith_neighbors(
        self, points: list[models.ScoredPoint], neighbors: int, conditions: Any
    ) -> list[models.ScoredPoint]:
        """Async version of `with_neighbors`."""
        if self._async is None:
            return await asyncio.to_thread(self.with_neighbors, points, neighbors, conditions)
        [joined] = await self._async.with_neighbors([points], neighbors, conditions)
        return joined

    def _complete(self, options: QueryOptions) -> QueryOptions:
        """Add the default search parameters.

        Raises:
            UsageError: an unknown option, which would be ignored.
        """
        known = QueryOptions.__annotations__
        refuse_unknown_options("PassageSearcher", "for a search", options, known)
        if options.get("search_params") is None and self._search_params is not None:
            return {**options, "search_params": self._search_params}
        return options


def _mode(options: QueryOptions) -> Mode:
    check_options(options)
    return options.get("mode", "dense")
