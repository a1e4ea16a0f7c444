"""Questions to passages, and LangChain's retriever on top."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack, cast
from weakref import WeakKeyDictionary

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr

from rdr_qdrant.collection import (
    AsyncCollection,
    Collection,
    QueryOptions,
    ScoredPassage,
    to_scored_passages,
)
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.encoding import FloatArray, Side
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from qdrant_client import AsyncQdrantClient, QdrantClient, models

CALL_OPTIONS = ("k", "filter", "score_threshold", "exact", "search_params")
SEARCHER_FIELDS = (
    "embeddings",
    "client",
    "async_client",
    "collection_name",
    "vector_name",
    "allow_unverified",
)


class PassageSearcher:
    """Searches one collection with one pair; that they belong together is checked once.

    The async methods ask the async client; without one they run in a thread beside the event
    loop, as the encoder always does.

    Args:
        embeddings: the pair whose question encoder reads the questions.
        client: from `connect`, or any `QdrantClient`; `None` where all is asynchronous.
        collection_name: where to search.
        async_client: from `connect_async`, or any `AsyncQdrantClient`, of the same place.
        vector_name: a named vector; `""` is the unnamed one.
        allow_unverified: use a collection that does not say which encoders made it.
        search_params: Qdrant's own `models.SearchParams`. Hits of a quantized collection are
            rescored by the original vectors where they do not say otherwise.

    Raises:
        UsageError: there is no client at all, or (on use) no sync client for a sync method.
        CollectionError: (on first use) the collection is missing or does not fit the pair.
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
    ) -> None:
        place = (collection_name, vector_name)
        if client is None and async_client is None:
            raise UsageError(
                f"There is no client to search {collection_name!r} with: give client=connect(...), "
                "async_client=await connect_async(...), or both."
            )
        self._search_params = search_params
        self._embeddings = embeddings
        self._collection = None if client is None else Collection(client, *place)
        self._async = None if async_client is None else AsyncCollection(async_client, *place)
        self._allow_unverified = allow_unverified
        self._checked = False
        self._async_checked = False
        self._lock = threading.Lock()
        self._async_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            WeakKeyDictionary()
        )

    @property
    def collection(self) -> Collection:
        """The collection by the sync client."""
        if self._collection is None:
            raise UsageError(
                "There is only an async client here: use the async methods (ainvoke, abatch, "
                "astream), or give client=connect(...) too."
            )
        return self._collection

    @property
    def async_collection(self) -> AsyncCollection | None:
        """The collection by the async client, where there is one."""
        return self._async

    def check(self) -> None:
        """Check that collection and pair belong together; once is enough for one connection."""
        with self._lock:
            if self._checked:
                return
            if not self.collection.exists():
                self.collection.describe()  # says what there is, before any encoder is loaded
            identity = self._embeddings.identity(Side.QUESTION)
            self.collection.check(identity, allow_unverified=self._allow_unverified)
            self._checked = True

    async def acheck(self) -> None:
        """`check` of the async client's connection."""
        if self._async is None:
            await asyncio.to_thread(self.check)
            return
        loop = asyncio.get_running_loop()
        async with self._async_locks.setdefault(loop, asyncio.Lock()):
            if self._async_checked:
                return
            await self._async.info()  # says what there is, before any encoder is loaded
            identity = await asyncio.to_thread(self._embeddings.identity, Side.QUESTION)
            await self._async.check(identity, allow_unverified=self._allow_unverified)
            self._async_checked = True

    def search(
        self, questions: Sequence[str], **options: Unpack[QueryOptions]
    ) -> list[list[ScoredPassage]]:
        """For each question its best `k` passages, best first; scores are raw inner products."""
        return self.search_vectors(self.encode(questions), **options)

    async def asearch(
        self, questions: Sequence[str], **options: Unpack[QueryOptions]
    ) -> list[list[ScoredPassage]]:
        """`search`, awaited."""
        found = await self.afind(await self.aencode(questions), **options)
        return [to_scored_passages(points) for points in found]

    def encode(self, questions: Sequence[str]) -> FloatArray:
        """Vectors of questions, float32 [n, dim], for `search_vectors`."""
        self.check()
        return self._embeddings.encode_questions(questions)

    async def aencode(self, questions: Sequence[str]) -> FloatArray:
        """`encode`, awaited."""
        if self._async is None:
            return await asyncio.to_thread(self.encode, questions)
        await self.acheck()
        return await asyncio.to_thread(self._embeddings.encode_questions, questions)

    def search_vectors(
        self, vectors: FloatArray, **options: Unpack[QueryOptions]
    ) -> list[list[ScoredPassage]]:
        """`search` for questions that are encoded already."""
        return [to_scored_passages(points) for points in self.find(vectors, **options)]

    def find(
        self, vectors: FloatArray, **options: Unpack[QueryOptions]
    ) -> list[list[models.ScoredPoint]]:
        """`search_vectors` with Qdrant's own points as answers."""
        self.check()
        return self.collection.query_points(vectors, **self._with_defaults(options))

    async def afind(
        self, vectors: FloatArray, **options: Unpack[QueryOptions]
    ) -> list[list[models.ScoredPoint]]:
        """`find`, awaited."""
        if self._async is None:
            return await asyncio.to_thread(self.find, vectors, **options)
        await self.acheck()
        return await self._async.query_points(vectors, **self._with_defaults(options))

    def _with_defaults(self, options: QueryOptions) -> QueryOptions:
        if options.get("search_params") is None and self._search_params is not None:
            return {**options, "search_params": self._search_params}
        return options


class RDRRetriever(BaseRetriever):
    """LangChain retriever over a collection that `QdrantLoader` or `rdr-qdrant ingest` made.

    Setup:
        `pip install rdr-qdrant`

    Key init args:
        embeddings: an `RDREmbeddings` of the pair that made the collection.
        client: from `connect`, or any `QdrantClient`.
        async_client: from `connect_async`, or any `AsyncQdrantClient`: then `ainvoke`, `abatch`
            and `astream` await it. Without one they run in a thread; either client may be left out.
        collection_name: where to search.
        k: passages a question.
        filter: a dict of metadata (`{"title": "Faust"}`; a list means any of them), or Qdrant's
            own `models.Filter`.
        score_threshold: only passages with at least this raw inner product.
        exact: compare with every point instead of going through the index.
        search_params: Qdrant's own `models.SearchParams`. Hits of a quantized collection are
            rescored by the original vectors where they do not say otherwise.
        vector_name: a named vector; `""` is the unnamed one.
        allow_unverified: use a collection that does not say which encoders made it.

    Instantiate:
        >>> from rdr_qdrant import RDREmbeddings, RDRRetriever, connect
        >>> retriever = RDRRetriever(
        ...     embeddings=RDREmbeddings(), client=connect(), collection_name="wiki", k=5
        ... )

    Use:
        >>> documents = retriever.invoke("Who wrote Faust?")

    One call may be asked otherwise; so may a part of a chain, by `retriever.bind(k=20)`:
        >>> documents = retriever.invoke("Who wrote Faust?", k=20, filter={"title": "Faust"})

    Async, nothing of it on the event loop:
        >>> from rdr_qdrant import connect_async
        >>> async def ask(question):
        ...     retriever = RDRRetriever(
        ...         embeddings=RDREmbeddings(),
        ...         async_client=await connect_async(),
        ...         collection_name="wiki",
        ...     )
        ...     return await retriever.ainvoke(question)

    A document's `id` is the passage's id; its metadata are those of the passage with `id`, `title`
    and `score`, the raw inner product. That collection and pair belong together is checked once,
    before the first question.

    Raises:
        UsageError: there is no client, or (on use) an option is unknown or `k` is below 1.
        CollectionError: (on first use) the collection is missing or does not fit the pair.
        StoreError: (on use) Qdrant does not answer or refuses.
    """

    embeddings: RDREmbeddings
    client: Any = Field(default=None, repr=False)
    async_client: Any = Field(default=None, repr=False)
    collection_name: str
    k: int = Field(default=4, ge=1)
    filter: Any = None
    score_threshold: float | None = None
    exact: bool = False
    vector_name: str = ""
    allow_unverified: bool = False
    search_params: Any = None

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    _searcher: PassageSearcher = PrivateAttr()
    _searched: dict[str, Any] = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self._renew()

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        [hits] = self._current().search([query], **self._options(options))
        return [to_document(hit) for hit in hits]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        [hits] = await self._current().asearch([query], **self._options(options))
        return [to_document(hit) for hit in hits]

    def _options(self, given: Mapping[str, Any]) -> QueryOptions:
        """The fields, and in their places what this call was given."""
        unknown = given.keys() - set(CALL_OPTIONS)
        if unknown:
            raise UsageError(
                f"RDRRetriever has no {', '.join(sorted(unknown))} for one call; "
                f"there are {', '.join(CALL_OPTIONS)}."
            )
        options = {**{name: getattr(self, name) for name in CALL_OPTIONS}, **given}
        if not isinstance(options["k"], int) or options["k"] < 1:
            raise UsageError(f"k is {options['k']!r}: it must be a number of passages, 1 or more.")
        return cast(QueryOptions, options)

    def _current(self) -> PassageSearcher:
        """The searcher of these fields: a `model_copy` or an assignment may have changed them."""
        if any(getattr(self, name) is not value for name, value in self._searched.items()):
            self._renew()
        return self._searcher

    def _renew(self) -> None:
        searched = {name: getattr(self, name) for name in SEARCHER_FIELDS}
        self._searcher, self._searched = PassageSearcher(**searched), searched


def to_document(hit: ScoredPassage) -> Document:
    """A found passage as a LangChain document."""
    passage = hit.passage
    own = {"id": passage.id, "title": passage.title, "score": hit.score}
    return Document(id=passage.id, page_content=passage.text, metadata={**passage.metadata, **own})
