"""Searches a collection with a question encoder, and LangChain's retriever over it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self, Unpack, cast
from weakref import WeakKeyDictionary

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr

from rdr_qdrant.client import ClientAddress, RetryPolicy, SearchRetryPolicy
from rdr_qdrant.collection import (
    AsyncCollection,
    Collection,
    Fusion,
    Mode,
    QueryOptions,
    Questions,
    ScoredPassage,
    check_options,
    to_scored_passages,
)
from rdr_qdrant.collection.neighbors import MAX_NEIGHBORS
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.encoding import Side
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from qdrant_client import AsyncQdrantClient, QdrantClient, models

CALL_OPTIONS = (
    "k",
    "filter",
    "score_threshold",
    "exact",
    "search_params",
    "neighbors",
    "mode",
    "fusion",
    "candidates",
    "language",
)
SEARCHER_FIELDS = (
    "embeddings",
    "client",
    "async_client",
    "collection_name",
    "vector_name",
    "allow_unverified",
)

_CONNECTING = threading.Lock()
"""Held while an unpickled retriever connects."""


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
        if unknown := options.keys() - QueryOptions.__annotations__.keys():
            raise UsageError(
                f"PassageSearcher has no option {', '.join(sorted(unknown))} for a search. "
                f"Options: {', '.join(QueryOptions.__annotations__)}."
            )
        if options.get("search_params") is None and self._search_params is not None:
            return {**options, "search_params": self._search_params}
        return options


class RDRRetriever(BaseRetriever):
    """LangChain retriever over a collection filled by `QdrantLoader` or `rdr-qdrant ingest`.

    Setup:
        `pip install -c constraints.txt -e .` in a clone, or `pip install rdr-qdrant`

    Key init args:
        embeddings: an `RDREmbeddings` of the pair the collection was made with.
        client: from `connect`, or any `QdrantClient`.
        async_client: from `connect_async`, or any `AsyncQdrantClient`, for `ainvoke`, `abatch`
            and `astream`. Without one they run in a thread. Either client may be omitted.
        collection_name: the collection to search.
        k: number of passages to return.
        filter: a dict of metadata (`{"title": "Faust"}`; a list matches any of its values), or
            Qdrant's `models.Filter`.
        mode: `dense` compares vectors by inner product; `bm25` compares words, and loads no
            encoder; `hybrid` does both and fuses the results. The last two need a collection with
            BM25 (`rdr-qdrant ingest --bm25`, or `index --bm25` for one that exists).
        fusion: `Fusion("dbsf")`, the default of `hybrid`, or `rrf` or `linear`, with weights.
        candidates: passages that each side of `hybrid` finds before they are fused; by default
            twice `k`, at least 200.
        language: of the questions, in `bm25` and `hybrid`; that of the collection by default,
            another one is refused.
        score_threshold: minimum score, in mode `dense` the raw inner product; see `QueryOptions`.
        exact: compare with every vector instead of using the index.
        neighbors: number of parts of a split text to add before and after each hit. They are read
            by id, match the filter, and no text is in two documents; the ids are in
            `metadata["neighbors"]`. Order and scores stay those of the hits.
        search_params: Qdrant's `models.SearchParams`. Hits of a quantized collection are rescored
            with the original vectors unless they say otherwise.
        vector_name: a named vector; `""` is the unnamed one.
        allow_unverified: accept a collection whose metadata does not name its encoders.

    Instantiate:
        >>> from rdr_qdrant import RDREmbeddings, RDRRetriever, connect
        >>> retriever = RDRRetriever(
        ...     embeddings=RDREmbeddings(), client=connect(), collection_name="wiki", k=5
        ... )

    Use:
        >>> documents = retriever.invoke("Who wrote Faust?")

    Override options for one call, or in a chain with `retriever.bind(k=20)`:
        >>> documents = retriever.invoke("Who wrote Faust?", k=20, filter={"title": "Faust"})

    Async, without blocking the event loop:
        >>> from rdr_qdrant import connect_async
        >>> async def ask(question):
        ...     retriever = RDRRetriever(
        ...         embeddings=RDREmbeddings(),
        ...         async_client=await connect_async(),
        ...         collection_name="wiki",
        ...     )
        ...     return await retriever.ainvoke(question)

    It can be copied, and pickled without its API key: in another process it connects on first use,
    with the key in `QDRANT_API_KEY`, and its async methods run in a thread.

    A document's `id` is the passage's id; its metadata are the passage's, plus `id`, `title` and
    `score`: the raw inner product, or what the mode compares by. The first call that encodes
    checks that the collection was made with this pair.

    Raises:
        UsageError: neither client is given, or (on use) an option is unknown or `k` is below 1.
        CollectionError: (on first use) the collection is missing or was made with another pair.
        StoreError: (on use) Qdrant does not answer or rejects the request.
    """

    embeddings: RDREmbeddings
    client: Any = Field(default=None, repr=False)
    async_client: Any = Field(default=None, repr=False)
    collection_name: str
    k: int = Field(default=4, ge=1)
    mode: Mode = "dense"
    filter: Any = None
    score_threshold: float | None = None
    exact: bool = False
    vector_name: str = ""
    allow_unverified: bool = False
    search_params: Any = None
    neighbors: int = Field(default=0, ge=0, le=MAX_NEIGHBORS)
    fusion: Fusion | None = None
    candidates: int | None = Field(default=None, ge=1)
    language: str | None = None

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    _searcher: PassageSearcher = PrivateAttr()
    _searcher_fields: dict[str, Any] = PrivateAttr()
    _address: ClientAddress | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        if isinstance(self.client, ClientAddress):  # unpickled: connected on first use
            self._address, self.client = self.client, None
        else:
            self._rebuild_searcher()

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        [hits] = self._current_searcher().search([query], **self._query_options(options))
        return [hit_to_document(hit) for hit in hits]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        if self._address is None:
            searcher = self._current_searcher()
        else:
            searcher = await asyncio.to_thread(self._current_searcher)
        [hits] = await searcher.asearch([query], **self._query_options(options))
        return [hit_to_document(hit) for hit in hits]

    def _query_options(self, given: Mapping[str, Any]) -> QueryOptions:
        """Merge the options of one call over the retriever's fields."""
        unknown = given.keys() - set(CALL_OPTIONS)
        if unknown:
            raise UsageError(
                f"RDRRetriever has no option {', '.join(sorted(unknown))} for a call. "
                f"Options: {', '.join(CALL_OPTIONS)}."
            )
        options = {**{name: getattr(self, name) for name in CALL_OPTIONS}, **given}
        if not isinstance(options["k"], int) or options["k"] < 1:
            raise UsageError(f"k is {options['k']!r}: it must be an integer, 1 or more.")
        return cast(QueryOptions, options)

    def _current_searcher(self) -> PassageSearcher:
        """Return the searcher, rebuilt if `model_copy` or an assignment changed its fields.

        After unpickling it connects first.
        """
        if self._address is not None:
            with _CONNECTING:
                if self._address is not None:
                    self.client = self._address.open()
                    self._rebuild_searcher()
                    self._address = None
        if any(getattr(self, name) is not value for name, value in self._searcher_fields.items()):
            self._rebuild_searcher()
        return self._searcher

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the fields, and in place of clients the address at which to connect again."""
        client = self.async_client if self.client is None else self.client
        address = self._address or ClientAddress.of(client)
        names = type(self).model_fields.keys() - {"client", "async_client"}
        fields = {name: getattr(self, name) for name in names}
        return _restore_retriever, (type(self), fields, address)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        copy = self.model_copy()  # with the same clients
        copy.embeddings = deepcopy(self.embeddings, memo)
        copy.filter = deepcopy(self.filter, memo)
        copy.search_params = deepcopy(self.search_params, memo)
        return copy

    def _rebuild_searcher(self) -> None:
        fields = {name: getattr(self, name) for name in SEARCHER_FIELDS}
        self._searcher, self._searcher_fields = PassageSearcher(**fields), fields


def _mode(options: QueryOptions) -> Mode:
    check_options(options)
    return options.get("mode", "dense")


def _restore_retriever(
    cls: type[RDRRetriever], fields: dict[str, Any], address: ClientAddress
) -> RDRRetriever:
    return cls.model_construct(**fields, client=address)


def hit_to_document(hit: ScoredPassage) -> Document:
    """Convert a hit to a LangChain document."""
    passage = hit.passage
    own = {"id": passage.id, "title": passage.title, "score": hit.score}
    return Document(id=passage.id, page_content=passage.text, metadata={**passage.metadata, **own})
