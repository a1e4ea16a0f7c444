"""`RDRVectorStore`, LangChain's vector store for RDR."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

import numpy as np
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStoreRetriever
from langchain_qdrant import QdrantVectorStore
from qdrant_client import models

from rdr_qdrant.client import RETRY_FOR_SECONDS, ClientAddress, RetryPolicy, connect
from rdr_qdrant.collection import (
    Collection,
    CollectionSettings,
    Fusion,
    Mode,
    QueryOptions,
    Questions,
    check_options,
)
from rdr_qdrant.collection.bm25 import DEFAULT_LANGUAGE
from rdr_qdrant.collection.filters import FilterFactory
from rdr_qdrant.collection.point_encoding import own_vector
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.errors import RDRQdrantError, UsageError
from rdr_qdrant.ingest import QdrantLoader
from rdr_qdrant.searcher import PassageSearcher
from rdr_qdrant.vectorstore.conversion import (
    all_point_ids,
    document_filter,
    documents_in_order,
    point_to_document,
    to_passages,
)
from rdr_qdrant.vectorstore.mmr import relevance_score, select_mmr
from rdr_qdrant.vectorstore.store_options import (
    MMR_OPTIONS,
    RETRIEVAL_MODES,
    SEARCH_OPTIONS,
    mode_and_language,
    refuse_options,
    refuse_unsupported,
)

if TYPE_CHECKING:
    from pydantic import SecretStr
    from qdrant_client import AsyncQdrantClient, QdrantClient

    from rdr_qdrant.encoding import FloatArray
    from rdr_qdrant.passages import Passage
    from rdr_qdrant.readers import Reject

MAX_REJECTS_SHOWN = 5
"""Rejected or blank documents that a message lists."""

logger = logging.getLogger(__name__)

ScoredDocuments = list[tuple[Document, float]]
Points = Sequence[models.ScoredPoint]


class DocumentsError(RDRQdrantError):
    """Some documents were not added; the others were."""


class RDRVectorStore(QdrantVectorStore):
    """LangChain vector store for the Reader-Distilled Retriever, a `QdrantVectorStore`.

    Documents go through the context encoder with their titles (`metadata["title"]`), questions
    through the question encoder; scores are raw inner products. Documents are added with
    `QdrantLoader`: it creates the collection, skips unchanged documents, retries failed requests
    and verifies afterwards that all documents are stored. A collection made with another encoder
    pair is refused.

    Setup:
        `pip install -c constraints.txt -e '.[langchain]'` in a clone, or
        `pip install 'rdr-qdrant[langchain]'`

    Key init args:
        client: from `connect`, or any `QdrantClient`.
        collection_name: the collection; the first documents create it if it is missing.
        embedding: an `RDREmbeddings`.
        async_client: from `connect_async`, or any `AsyncQdrantClient`, to the same Qdrant; used
            by the async methods that search, get or delete. Without one they run in a thread, as
            adding always does.
        vector_name: a named vector; `""` is the unnamed one.
        allow_unverified: accept a collection whose metadata does not name its encoders.
        mode: `dense` (inner products, the default), `bm25` (words) or `hybrid` (both, fused). With
            the last two the first documents create a collection with BM25. LangChain's
            `retrieval_mode` is accepted too, with `sparse_embedding=BM25Embeddings(...)`.
        language: of BM25's stop words and stemmer; that of the collection, or English.
        fusion: see `RDRRetriever`.
        batch_size: number of documents that are compared and embedded together; see `QdrantLoader`.
        retry_for: seconds for which failed requests are retried when adding or deleting.

    Instantiate:
        >>> from rdr_qdrant import RDREmbeddings, RDRVectorStore, connect
        >>> store = RDRVectorStore(connect(), "plays", RDREmbeddings())

    Add Documents:
        >>> from langchain_core.documents import Document
        >>> faust = Document(
        ...     id="faust", page_content="A tragedy by Goethe.", metadata={"title": "Faust"}
        ... )
        >>> hamlet = Document(
        ...     id="hamlet", page_content="A tragedy by Shakespeare.", metadata={"title": "Hamlet"}
        ... )
        >>> store.add_documents([faust, hamlet])
        ['faust', 'hamlet']

    An id may be any text. Adding an existing id replaces that document; a document without an id
    gets one from its text and metadata. `QdrantLoader` and `rdr-qdrant ingest` store documents
    under the same ids if these are given: without one, they make it from title and text.

    Search:
        >>> [found] = store.similarity_search("Who wrote Faust?", k=1)
        >>> found.id, found.metadata
        ('faust', {'title': 'Faust'})

    Search with filter, a dict of metadata or Qdrant's `models.Filter`:
        >>> [found.id for found in store.similarity_search("tragedy", filter={"title": "Hamlet"})]
        ['hamlet']

    Search with score, the raw inner product:
        >>> [(found, score)] = store.similarity_search_with_score("Who wrote Faust?", k=1)

    Delete and get:
        >>> store.delete(["hamlet"])
        True
        >>> [found.id for found in store.get_by_ids(["faust", "hamlet"])]
        ['faust']

    Async:
        >>> async def ask(question):
        ...     return await store.asimilarity_search(question)

    Use as Retriever; search options may also be passed directly, `as_retriever(k=1)`:
        >>> retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 1, "fetch_k": 2})
        >>> [found.id for found in retriever.invoke("Who wrote Faust?")]
        ['faust']

    Every search takes `filter`, `score_threshold` (raw inner product), `offset`, `mode`, `exact`,
    Qdrant's `search_params` and `neighbors`, the number of parts of a split text that are added
    before and after each hit (see `RDRRetriever`). Relevance scores, which
    `search_type="similarity_score_threshold"` compares, are in [0, 1]: 0.5 for an inner product of
    0, 0.75 for the product of the norms of the pair's vectors; they, MMR and searches by a vector
    exist in mode `dense` only.

    An instance may be shared by threads. It can be copied, and pickled without its API key:
    unpickling connects again, with the key in `QDRANT_API_KEY`, and async methods then run in a
    thread. It does not build the index of an embedded collection: call
    `client.build_index(collection_name)` from 20,000 documents on.

    Raises:
        UsageError: an option that RDR cannot support (another distance or sparse embedding), or
            embeddings that are not `RDREmbeddings`.
        CollectionError: (on first use) the collection is missing or was made with another pair.
        DocumentsError: (when adding) some documents cannot be stored; the others are.
        StoreError: (on use) Qdrant does not answer or rejects the request.
    """

    def __init__(
        self,
        client: QdrantClient,
        collection_name: str,
        embedding: RDREmbeddings,
        *,
        async_client: AsyncQdrantClient | None = None,
        vector_name: str = "",
        allow_unverified: bool = False,
        mode: Mode | None = None,
        language: str | None = None,
        fusion: Fusion | None = None,
        batch_size: int | None = None,
        retry_for: float = RETRY_FOR_SECONDS,
        **langchain_options: Any,
    ) -> None:
        mode, language = mode_and_language(mode, language, langchain_options)
        refuse_unsupported(langchain_options)
        if not isinstance(embedding, RDREmbeddings):
            raise UsageError(
                f"The embedding is {type(embedding).__name__}, but RDRVectorStore needs "
                "RDREmbeddings: passages and questions go through different encoders."
            )
        super().__init__(
            client,
            collection_name,
            embedding,
            vector_name=vector_name,
            distance=models.Distance.DOT,
            validate_embeddings=False,
            validate_collection_config=False,
        )
        self.retrieval_mode = RETRIEVAL_MODES[mode]
        self._defaults = {"mode": mode, "language": language, "fusion": fusion}
        self._mode, self._language = mode, language
        self._embedding = embedding
        self._searcher = PassageSearcher(
            embedding,
            client,
            collection_name,
            async_client=async_client,
            vector_name=vector_name,
            allow_unverified=allow_unverified,
        )
        self._async_client = async_client
        self._allow_unverified = allow_unverified
        self._batch_size = batch_size
        self._retry_for = retry_for

    # Copy and pickle

    def _options(self) -> dict[str, Any]:
        """The constructor's options, without the clients."""
        return {
            "vector_name": self.vector_name,
            "allow_unverified": self._allow_unverified,
            **self._defaults,
            "batch_size": self._batch_size,
            "retry_for": self._retry_for,
        }

    def __copy__(self) -> Self:
        """A store with the same clients and embeddings."""
        return self._with_embedding(self._embedding)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A store with the same clients: two clients would be two connections to one Qdrant."""
        return self._with_embedding(deepcopy(self._embedding, memo))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments, and in place of clients the address at which to connect again.

        Raises:
            UsageError: the client cannot be opened again in another process.
        """
        address = ClientAddress.of(self.client)
        arguments = (self.collection_name, self._embedding, self._options())
        return _restore_store, (type(self), address, *arguments)

    def _with_embedding(self, embedding: RDREmbeddings) -> Self:
        return type(self)(
            self.client,
            self.collection_name,
            embedding,
            async_client=self._async_client,
            **self._options(),
        )

    # Instantiate

    @classmethod
    def from_texts(  # type: ignore[override]
        cls,
        texts: Iterable[str],
        embedding: RDREmbeddings,
        metadatas: Iterable[Mapping[str, Any]] | None = None,
        ids: Iterable[str | int | None] | None = None,
        *,
        collection_name: str,
        client: QdrantClient | None = None,
        url: str | None = None,
        path: str | None = None,
        api_key: SecretStr | str | None = None,
        force_recreate: bool = False,
        **options: Any,
    ) -> Self:
        """Create a store with these texts, and its collection if it is missing.

        `from_documents` does the same for documents.

        Args:
            texts: passage texts.
            embedding: the encoder pair.
            metadatas: one per text; its `title` is the title.
            ids: one per text; by default made from the content.
            collection_name: the collection.
            client: the client; otherwise `url`, `path` and `api_key` as in `connect`.
            force_recreate: delete the collection first, if it was made by rdr-qdrant; not if there
                are texts, but none that can be stored.
            options: further arguments of the class.
        """
        client = _client(client, url, path, api_key)
        store = cls(client, collection_name, embedding, **options)
        passages = to_passages(texts, metadatas, ids)
        if any(passage.text.strip() for passage in passages):
            store._add(passages, recreate=force_recreate)
        else:
            store._create_empty(recreate=force_recreate)
            store._add(passages)
        return store

    def _create_empty(self, *, recreate: bool) -> None:
        """Create the collection if it is missing or to be recreated."""
        collection = Collection(self.client, self.collection_name, self.vector_name)
        exists = collection.exists()
        if exists and not recreate:
            return
        if exists:
            collection.check_ours("deleted")
        identity = self._embedding.identity()
        if exists:
            collection.delete()
        collection.create(identity, self._collection_settings())

    @classmethod
    def from_documents(  # type: ignore[override]
        cls, documents: Iterable[Document], embedding: RDREmbeddings, **options: Any
    ) -> Self:
        """Create a store with these documents; `options` are those of `from_texts`.

        Raises:
            UsageError: something among the documents is not a `Document`.
        """
        return cls.from_texts(embedding=embedding, **_as_texts(documents, options))

    @classmethod
    async def afrom_documents(  # type: ignore[override]
        cls, documents: Iterable[Document], embedding: RDREmbeddings, **options: Any
    ) -> Self:
        """Async version of `from_documents`; runs in a thread."""
        return await asyncio.to_thread(cls.from_documents, documents, embedding, **options)

    @classmethod
    def from_existing_collection(  # type: ignore[override]
        cls,
        collection_name: str,
        embedding: RDREmbeddings,
        *,
        client: QdrantClient | None = None,
        url: str | None = None,
        path: str | None = None,
        api_key: SecretStr | str | None = None,
        **options: Any,
    ) -> Self:
        """Open an existing collection and check it.

        Raises:
            CollectionError: it is missing or was made with another pair.
        """
        store = cls(_client(client, url, path, api_key), collection_name, embedding, **options)
        store._searcher.check(store._mode)
        return store

    @classmethod
    def construct_instance(cls, *_: Any, **__: Any) -> NoReturn:
        """Refuse: `QdrantVectorStore`'s version would create a collection RDR cannot use."""
        raise UsageError("RDRVectorStore does not support construct_instance; use from_texts.")

    # Add, delete, get

    def add_texts(  # type: ignore[override]
        self,
        texts: Iterable[str],
        metadatas: Iterable[Mapping[str, Any]] | None = None,
        ids: Iterable[str | int | None] | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> list[str]:
        """Add texts, replacing those whose ids exist, and verify that they are stored.

        Blank texts, such as empty pages of a PDF, are left out with a warning that names them.

        Returns:
            The ids of the texts that were added, in order.

        Raises:
            DocumentsError: some cannot be stored (metadata that is not JSON, one id given twice
                with different content); the others are.
            SourceError: none can be stored.
            UsageError: an unknown option.
        """
        refuse_options("for adding documents", options, ("ids", "batch_size"))
        return self._add(to_passages(texts, metadatas, ids), batch_size)

    def _add(
        self, every: Sequence[Passage], batch_size: int | None = None, *, recreate: bool = False
    ) -> list[str]:
        numbers = [number for number, passage in enumerate(every) if passage.text.strip()]
        passages = [every[number] for number in numbers]
        if len(passages) < len(every):
            self._warn_of_blank(every)
        rejects: list[Reject] = []
        loader = QdrantLoader(
            embeddings=self._embedding,
            client=self.client,
            collection_name=self.collection_name,
            batch_size=batch_size or self._batch_size,
            vector_name=self.vector_name,
            allow_unverified=self._allow_unverified,
            recreate=recreate,
            retry_for=self._retry_for,
            collection_settings=self._collection_settings(),
            on_reject=rejects.append,
            index=False,
        )
        loader.load(passages)
        if rejects:
            reasons = {numbers[one.line - 1]: one.reason for one in rejects}
            raise DocumentsError(
                f"{len(rejects)} of {len(every)} documents were not added to "
                f"{self.collection_name!r}, the others were: {_listed(every, reasons)}."
            )
        return [passage.id for passage in passages]

    def _collection_settings(self) -> CollectionSettings | None:
        """Settings of the collection that the first documents create."""
        if self._mode == "dense":
            return None
        return CollectionSettings(bm25=self._language or DEFAULT_LANGUAGE)

    def _warn_of_blank(self, passages: Sequence[Passage]) -> None:
        reasons = {n: "no text" for n, passage in enumerate(passages) if not passage.text.strip()}
        logger.warning(
            "%d of %d documents are blank and were not added to %r: %s",
            len(reasons),
            len(passages),
            self.collection_name,
            _listed(passages, reasons),
        )

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: Iterable[Mapping[str, Any]] | None = None,
        ids: Iterable[str | int | None] | None = None,
        **options: Any,
    ) -> list[str]:
        """Async version of `add_texts`; runs in a thread."""
        return await asyncio.to_thread(self.add_texts, texts, metadatas, ids, **options)

    def add_documents(self, documents: Iterable[Document], **options: Any) -> list[str]:
        """Add documents, a list or an iterator, as `add_texts` adds texts.

        Args:
            documents: their ids are used unless `ids` is among the options.
            options: `ids` and `batch_size`.

        Returns:
            The ids of those that were added, in order.

        Raises:
            DocumentsError, SourceError: as `add_texts`.
            UsageError: something is not a `Document`, or an unknown option.
        """
        return self.add_texts(**_as_texts(documents, options))

    async def aadd_documents(self, documents: Iterable[Document], **options: Any) -> list[str]:
        """Async version of `add_documents`; runs in a thread."""
        return await asyncio.to_thread(self.add_documents, documents, **options)

    def delete(self, ids: Sequence[str | int] | None = None, **options: Any) -> bool:
        """Delete documents by id; missing ids are ignored.

        Raises:
            UsageError: `ids` is omitted, which does not delete the whole collection, or an option
                is given.
        """
        refuse_options("for deleting", options, ("ids",))
        points = all_point_ids(_checked_ids(ids))
        self._searcher.check(self._mode)
        if points:
            retry = RetryPolicy(self._retry_for)
            Collection(self.client, self.collection_name, self.vector_name, retry).points.delete(
                points
            )
        return True

    async def adelete(self, ids: Sequence[str | int] | None = None, **options: Any) -> bool:
        """Async version of `delete`; retried as a search is, see `SearchRetryPolicy`."""
        refuse_options("for deleting", options, ("ids",))
        collection = self._searcher.async_collection
        if collection is None:
            return await asyncio.to_thread(self.delete, ids)
        points = all_point_ids(_checked_ids(ids))
        await self._searcher.acheck(self._mode)
        if points:
            await collection.delete_points(points)
        return True

    def get_by_ids(self, ids: Sequence[str | int], /) -> list[Document]:
        """Return the documents with these ids, in their order, without those that are missing."""
        self._searcher.check(self._mode)
        records = self._searcher.collection.points.retrieve_records(all_point_ids(ids))
        return documents_in_order(ids, records)

    async def aget_by_ids(self, ids: Sequence[str | int], /) -> list[Document]:
        """Async version of `get_by_ids`."""
        collection = self._searcher.async_collection
        if collection is None:
            return await asyncio.to_thread(self.get_by_ids, ids)
        await self._searcher.acheck(self._mode)
        return documents_in_order(ids, await collection.retrieve_records(all_point_ids(ids)))

    # Search: LangChain's other methods (`similarity_search`, `search`, ...) call these.

    def as_retriever(self, **options: Any) -> VectorStoreRetriever:
        """Build a LangChain retriever over this store.

        LangChain's own version ignores every argument that it does not know.

        Args:
            options: `search_type`, `search_kwargs` and the other fields of `VectorStoreRetriever`;
                or search options (`k`, `filter`, ...), which are added to `search_kwargs`.

        Raises:
            UsageError: an unknown option, here or in `search_kwargs`, or one given in both.
        """
        fields = VectorStoreRetriever.model_fields.keys() - {"vectorstore"}
        mmr = options.get("search_type") == "mmr"
        search_options = ("k", *SEARCH_OPTIONS, *(MMR_OPTIONS if mmr else ()))
        search_kwargs = dict(options.pop("search_kwargs", None) or {})
        refuse_options("in search_kwargs", search_kwargs, search_options)
        refuse_options("of as_retriever", options, (*search_options, *sorted(fields)))
        for name in [name for name in options if name not in fields]:
            if name in search_kwargs:
                raise UsageError(f"as_retriever has {name} twice: directly and in search_kwargs.")
            search_kwargs[name] = options.pop(name)
        return super().as_retriever(search_kwargs=search_kwargs, **options)

    def similarity_search_with_score(  # type: ignore[override]
        self, query: str, k: int = 4, filter: Any = None, **options: Any
    ) -> ScoredDocuments:
        """Return the top `k` documents with their raw inner products, best first."""
        query_options = self._query_options(k, {"filter": filter, **options})
        question = self._searcher.prepare([query], query_options["mode"])
        return _scored(self._search(question, query_options))

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, filter: Any = None, **options: Any
    ) -> ScoredDocuments:
        """Async version of `similarity_search_with_score`."""
        query_options = self._query_options(k, {"filter": filter, **options})
        question = await self._searcher.aprepare([query], query_options["mode"])
        return _scored(await self._asearch(question, query_options))

    async def asimilarity_search(
        self, query: str, k: int = 4, filter: Any = None, **options: Any
    ) -> list[Document]:
        """Async version of `similarity_search`."""
        return _unscored(await self.asimilarity_search_with_score(query, k, filter, **options))

    def similarity_search_with_score_by_vector(  # type: ignore[override]
        self, embedding: list[float], k: int = 4, filter: Any = None, **options: Any
    ) -> ScoredDocuments:
        """Return the top `k` documents for a question vector, with raw inner products."""
        query_options = self._query_options(k, {"filter": filter, **options})
        return _scored(self._search(_as_question(embedding, query_options), query_options))

    async def asimilarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: Any = None, **options: Any
    ) -> list[Document]:
        """Async version of `similarity_search_by_vector`."""
        query_options = self._query_options(k, {"filter": filter, **options})
        question = _as_question(embedding, query_options)
        return _unscored(_scored(await self._asearch(question, query_options)))

    def max_marginal_relevance_search(  # type: ignore[override]
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **options: Any
    ) -> list[Document]:
        """Select `k` relevant and diverse documents from the top `fetch_k`.

        `lambda_mult` is 1 for relevance only, 0 for diversity only.
        """
        query_options = self._mmr_query_options(k, fetch_k, options)
        question = self._searcher.prepare([query])
        return _unscored(self._search_mmr(question, k, lambda_mult, query_options))

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **options: Any
    ) -> list[Document]:
        """Async version of `max_marginal_relevance_search`."""
        query_options = self._mmr_query_options(k, fetch_k, options)
        question = await self._searcher.aprepare([query])
        return _unscored(await self._asearch_mmr(question, k, lambda_mult, query_options))

    def max_marginal_relevance_search_with_score_by_vector(  # type: ignore[override]
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **options: Any,
    ) -> ScoredDocuments:
        """`max_marginal_relevance_search` for a question vector, with raw inner products."""
        query_options = self._mmr_query_options(k, fetch_k, options)
        question = _as_question(embedding, query_options)
        return self._search_mmr(question, k, lambda_mult, query_options)

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **options: Any,
    ) -> list[Document]:
        """Async version of `max_marginal_relevance_search_by_vector`."""
        query_options = self._mmr_query_options(k, fetch_k, options)
        question = _as_question(embedding, query_options)
        return _unscored(await self._asearch_mmr(question, k, lambda_mult, query_options))

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """Return `relevance_score` with this pair's typical inner product.

        Raises:
            UsageError: the store's mode compares words.
        """
        return self._relevance_score_fn(self._mode)

    def _relevance_score_fn(self, mode: Mode) -> Callable[[float], float]:
        if mode != "dense":
            raise UsageError(
                f"Relevance scores are made of inner products, so mode {mode!r} has none: "
                "use similarity_search_with_score, or mode='dense'."
            )
        return partial(relevance_score, typical=self._typical_score)

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **options: Any
    ) -> ScoredDocuments:
        score_to_relevance = self._relevance_score_fn(options.get("mode") or self._mode)
        found = self.similarity_search_with_score(query, k, **options)
        return [(document, score_to_relevance(score)) for document, score in found]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **options: Any
    ) -> ScoredDocuments:
        mode = options.get("mode") or self._mode
        score_to_relevance = await asyncio.to_thread(self._relevance_score_fn, mode)
        found = await self.asimilarity_search_with_score(query, k, **options)
        return [(document, score_to_relevance(score)) for document, score in found]

    @cached_property
    def _typical_score(self) -> float:
        """The product of the norms of the pair's two probe vectors."""
        identity = self._embedding.identity()
        norms = [float(np.linalg.norm(p)) for p in (identity.probe, identity.question_probe)]
        return norms[0] * norms[1]

    def _query_options(self, k: int, options: Mapping[str, Any]) -> QueryOptions:
        """Check the options of a search, and add the store's own; `None` is left out.

        Raises:
            UsageError: an unknown option, or one out of its range.
        """
        own = {name: value for name, value in self._defaults.items() if value is not None}
        given = {name: value for name, value in options.items() if value is not None}
        refuse_options("for a search", given, ("k", *SEARCH_OPTIONS))
        if isinstance(given.get("filter"), Mapping):
            given["filter"] = FilterFactory(given["filter"], document_filter)
        query_options = cast(QueryOptions, {**own, "k": k, **given})
        check_options(query_options)
        return query_options

    def _mmr_query_options(self, k: int, fetch_k: int, options: Mapping[str, Any]) -> QueryOptions:
        """Check the options of an MMR search; it fetches `fetch_k` passages, at least `k`."""
        query_options = self._query_options(k, options)
        return {**query_options, "k": max(k, fetch_k), "with_vectors": True}

    def _search(self, question: Questions, query_options: QueryOptions) -> Points:
        [points] = self._searcher.search_points(question, **query_options)
        return points

    async def _asearch(self, question: Questions, query_options: QueryOptions) -> Points:
        [points] = await self._searcher.asearch_points(question, **query_options)
        return points

    def _search_mmr(
        self, question: Questions, k: int, lambda_mult: float, query_options: QueryOptions
    ) -> ScoredDocuments:
        neighbors = query_options.pop("neighbors", 0)  # of the selected
        points = self._search(question, query_options)
        selected = self._select_mmr(points, question.vectors, k, lambda_mult)
        conditions = query_options.get("filter")
        return _scored(self._searcher.with_neighbors(selected, neighbors, conditions))

    async def _asearch_mmr(
        self, question: Questions, k: int, lambda_mult: float, query_options: QueryOptions
    ) -> ScoredDocuments:
        neighbors = query_options.pop("neighbors", 0)
        points = await self._asearch(question, query_options)
        selected = self._select_mmr(points, question.vectors, k, lambda_mult)
        conditions = query_options.get("filter")
        return _scored(await self._searcher.awith_neighbors(selected, neighbors, conditions))

    def _select_mmr(
        self, points: Points, question: FloatArray, k: int, lambda_mult: float
    ) -> list[models.ScoredPoint]:
        dense = [own_vector(point.vector, self.vector_name) for point in points]
        vectors = np.asarray(dense, dtype=np.float32)
        scores = [point.score for point in points]
        selected = select_mmr(scores, vectors, question[0], k, lambda_mult)
        return [points[i] for i in selected]


def _restore_store(
    cls: type[RDRVectorStore],
    address: ClientAddress,
    collection_name: str,
    embedding: RDREmbeddings,
    options: dict[str, Any],
) -> RDRVectorStore:
    return cls(address.open(), collection_name, embedding, **options)


def _client(
    client: QdrantClient | None,
    url: str | None,
    path: str | None,
    api_key: SecretStr | str | None,
) -> QdrantClient:
    if client is None:
        return connect(url, path, api_key=api_key)
    if url or path or api_key:
        raise UsageError("Pass either a client, or url, path and api_key, not both.")
    return client


def _as_texts(documents: Iterable[Document], options: Mapping[str, Any]) -> dict[str, Any]:
    """Turn documents, which may be an iterator, into the arguments of `add_texts`.

    Raises:
        UsageError: something among them is not a `Document`.
    """
    if isinstance(documents, Document | str | Mapping):
        raise UsageError(f"documents is a {type(documents).__name__}: pass a list of Documents.")
    documents = list(documents)
    for number, document in enumerate(documents, start=1):
        if not isinstance(document, Document):
            raise UsageError(
                f"Document {number} is a {type(document).__name__}, not a Document: use add_texts "
                "for strings."
            )
    return {
        "texts": [document.page_content for document in documents],
        "metadatas": [document.metadata for document in documents],
        "ids": [document.id for document in documents],
        **options,
    }


def _as_question(embedding: Sequence[float], query_options: QueryOptions) -> Questions:
    """A question of which only the vector is known.

    Raises:
        UsageError: the mode compares words.
    """
    mode = query_options.get("mode", "dense")
    if mode != "dense":
        raise UsageError(
            f"A vector holds no words, so it cannot be searched for in mode {mode!r}: pass "
            "mode='dense', or search with the text."
        )
    return Questions(np.asarray([embedding], dtype=np.float32))


def _scored(points: Points) -> ScoredDocuments:
    return [(point_to_document(point), point.score) for point in points]


def _unscored(scored: ScoredDocuments) -> list[Document]:
    return [document for document, _ in scored]


def _checked_ids(ids: Sequence[str | int] | None) -> Sequence[str | int]:
    """The ids of documents to delete.

    Raises:
        UsageError: there are none, by which LangChain means all documents.
    """
    if ids is None:
        raise UsageError(
            "delete needs the ids of documents. To delete the whole collection, call "
            "client.delete_collection(collection_name)."
        )
    return ids


def _listed(passages: Sequence[Passage], reasons: Mapping[int, str]) -> str:
    """The first documents that were not added, with the reasons, by their positions from 0."""
    listed = "; ".join(
        f"number {position + 1} (id {passages[position].id!r}): {reason}"
        for position, reason in list(reasons.items())[:MAX_REJECTS_SHOWN]
    )
    rest = len(reasons) - MAX_REJECTS_SHOWN
    return f"{listed}; and {rest} more" if rest > 0 else listed
