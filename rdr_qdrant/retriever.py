"""`RDRRetriever`, LangChain's retriever over a collection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self, cast

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr

from rdr_qdrant.client import ClientAddress
from rdr_qdrant.collection import (
    Fusion,
    Mode,
    QueryOptions,
    ScoredPassage,
)
from rdr_qdrant.collection.neighbors import MAX_NEIGHBORS
from rdr_qdrant.collection.query import refuse_unknown_options
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.searcher import PassageSearcher

if TYPE_CHECKING:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )

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
        refuse_unknown_options("RDRRetriever", "for a call", given, CALL_OPTIONS)
        own = {name: getattr(self, name) for name in CALL_OPTIONS}
        return cast(QueryOptions, {**own, **given})

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


def _restore_retriever(
    cls: type[RDRRetriever], fields: dict[str, Any], address: ClientAddress
) -> RDRRetriever:
    return cls.model_construct(**fields, client=address)


def hit_to_document(hit: ScoredPassage) -> Document:
    """Convert a hit to a LangChain document."""
    passage = hit.passage
    own = {"id": passage.id, "title": passage.title, "score": hit.score}
    return Document(id=passage.id, page_content=passage.text, metadata={**passage.metadata, **own})
