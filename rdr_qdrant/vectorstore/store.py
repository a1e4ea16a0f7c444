"""`RDRVectorStore`: LangChain's vector store, with our loader beneath and our guard before it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self

from langchain_core.documents import Document

from rdr_qdrant.client import RETRY_FOR_SECONDS, RetryPolicy, connect
from rdr_qdrant.collection import Collection, PointId
from rdr_qdrant.collection.points import normalized_id
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.errors import RDRQdrantError, UsageError
from rdr_qdrant.ingest import QdrantLoader
from rdr_qdrant.retriever import PassageSearcher
from rdr_qdrant.vectorstore.conversion import point_ids, to_document, to_passages
from rdr_qdrant.vectorstore.search import SearchingStore
from rdr_qdrant.vectorstore.unsupported import refuse_others

if TYPE_CHECKING:
    from pydantic import SecretStr
    from qdrant_client import AsyncQdrantClient, QdrantClient, models

    from rdr_qdrant.passages import Passage
    from rdr_qdrant.readers import Reject

SHOWN = 5
"""Documents that an error names."""


class DocumentsError(RDRQdrantError):
    """Documents that were not added; those beside them were."""


class RDRVectorStore(SearchingStore):
    """LangChain vector store for the Reader-Distilled Retriever: `QdrantVectorStore`, made right.

    Documents go through the context encoder with their titles (`metadata["title"]`), questions
    through the question encoder; scores are raw inner products. Adding goes through
    `QdrantLoader`: it makes the collection, skips what is there unchanged, makes failed calls
    again, and looks afterwards whether all of it is there. A collection of another pair is
    refused.

    Setup:
        `pip install 'rdr-qdrant[langchain]'`

    Key init args:
        client: from `connect`, or any `QdrantClient`.
        collection_name: the collection; the first documents make it where it is missing.
        embedding: an `RDREmbeddings`.
        async_client: from `connect_async`, or any `AsyncQdrantClient`, of the same place: the
            async methods that search, get or delete await it. Without one they run in a thread,
            as adding always does.
        vector_name: a named vector; `""` is the unnamed one.
        allow_unverified: use a collection that does not say which encoders made it.
        batch_size: documents that are looked up, encoded and written at a time.
        retry_for: seconds for which a failed call of adding or deleting is made again.

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

    An id may be any text; the same id replaces, and a document without one gets one from its
    content. The ids of `rdr-qdrant ingest` and `QdrantLoader` are the same ids.

    Search:
        >>> [found] = store.similarity_search("Who wrote Faust?", k=1)
        >>> found.id, found.metadata
        ('faust', {'title': 'Faust'})

    Search with filter, a dict of metadata or Qdrant's own `models.Filter`:
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

    Use as Retriever:
        >>> retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 1, "fetch_k": 2})
        >>> [found.id for found in retriever.invoke("Who wrote Faust?")]
        ['faust']

    `filter`, `score_threshold` (raw inner product), `offset`, `exact` and Qdrant's own
    `search_params` may be given to every search. Relevance scores, which
    `search_type="similarity_score_threshold"` compares, are in [0, 1]: 0.5 where the inner product
    is 0, 0.75 where it is the product of the lengths of the pair's vectors.

    One instance may be used by many threads. The index of an embedded collection is not built
    here: `client.build_index(collection_name)`, from 20,000 documents.

    Raises:
        UsageError: an option that RDR cannot have (sparse and hybrid retrieval, another
            distance), or embeddings that are not `RDREmbeddings`.
        CollectionError: (on first use) the collection is missing or does not fit the pair.
        DocumentsError: (on adding) some documents cannot be stored; the others are.
        StoreError: (on use) Qdrant does not answer or refuses.
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
        batch_size: int = 256,
        retry_for: float = RETRY_FOR_SECONDS,
        **fixed: Any,
    ) -> None:
        refuse_others(fixed)
        if not isinstance(embedding, RDREmbeddings):
            raise UsageError(
                f"The embedding is {type(embedding).__name__}, but RDRVectorStore needs "
                "RDREmbeddings: passages and questions go through different encoders."
            )
        searcher = PassageSearcher(
            embedding,
            client,
            collection_name,
            async_client=async_client,
            vector_name=vector_name,
            allow_unverified=allow_unverified,
        )
        super().__init__(searcher, client, collection_name, embedding, vector_name)
        self._allow_unverified = allow_unverified
        self._batch_size = batch_size
        self._retry_for = retry_for

    # Making one

    @classmethod
    def from_texts(  # type: ignore[override]
        cls,
        texts: list[str],
        embedding: RDREmbeddings,
        metadatas: list[dict[str, Any]] | None = None,
        ids: Sequence[str | int | None] | None = None,
        *,
        collection_name: str,
        client: QdrantClient | None = None,
        url: str | None = None,
        path: str | None = None,
        api_key: SecretStr | str | None = None,
        force_recreate: bool = False,
        **options: Any,
    ) -> Self:
        """A store with these texts in it; its collection is made where it is missing.

        `from_documents` is the same for documents.

        Args:
            texts: the texts of passages.
            embedding: the pair.
            metadatas: one for each text; `title` in it is the title.
            ids: one for each text, or from their content.
            collection_name: where to.
            client: where to; else `url`, `path` and `api_key` as `connect` takes them.
            force_recreate: delete the collection first; only one that we made.
            options: as for the class.
        """
        client = _client(client, url, path, api_key)
        store = cls(client, collection_name, embedding, **options)
        collection = Collection(client, collection_name, store.vector_name)
        if force_recreate and collection.exists():
            collection.check_ours("deleted")
            identity = embedding.identity()
            collection.delete()
            collection.create(identity)
        elif not collection.exists():
            collection.create(embedding.identity())
        store.add_texts(texts, metadatas, ids)
        return store

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
        """A store over a collection that is there, checked at once.

        Raises:
            CollectionError: it is missing or does not fit the pair.
        """
        store = cls(_client(client, url, path, api_key), collection_name, embedding, **options)
        store._searcher.check()
        return store

    @classmethod
    def construct_instance(cls, *_: Any, **__: Any) -> NoReturn:
        """Refused: `QdrantVectorStore`'s way would make a collection that RDR cannot use."""
        raise UsageError("RDRVectorStore has no construct_instance; use from_texts.")

    # In and out

    def add_texts(  # type: ignore[override]
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        ids: Sequence[str | int | None] | None = None,
        batch_size: int | None = None,
    ) -> list[str]:
        """Add or replace texts by their ids, and look afterwards whether they are there.

        Returns:
            Their ids, in order.

        Raises:
            DocumentsError: some cannot be stored (no text, metadata that is not JSON, one id
                twice with different content); all others are.
        """
        passages = to_passages(texts, metadatas, ids)
        rejects: list[Reject] = []
        loader = QdrantLoader(
            embeddings=self._embedding,
            client=self.client,
            collection_name=self.collection_name,
            batch_size=batch_size or self._batch_size,
            vector_name=self.vector_name,
            allow_unverified=self._allow_unverified,
            retry_for=self._retry_for,
            on_reject=rejects.append,
            index=False,
        )
        loader.load(passages)
        if rejects:
            raise _not_added(self.collection_name, passages, rejects)
        return [passage.id for passage in passages]

    def delete(self, ids: Sequence[str | int] | None = None, **_: Any) -> bool:
        """Delete documents by their ids; one that is not there is no error.

        Raises:
            UsageError: no `ids`: a whole collection is not deleted by leaving them out.
        """
        points = _points(ids)
        self._searcher.check()
        if points:
            retrying = RetryPolicy(self._retry_for)
            collection = Collection(self.client, self.collection_name, self.vector_name, retrying)
            collection.points.delete(points)
        return True

    async def adelete(self, ids: Sequence[str | int] | None = None, **_: Any) -> bool:
        """`delete`, awaited; a failed call is not made again."""
        collection = self._searcher.async_collection
        if collection is None:
            return await asyncio.to_thread(self.delete, ids)
        points = _points(ids)
        await self._searcher.acheck()
        if points:
            await collection.delete_points(points)
        return True

    def get_by_ids(self, ids: Sequence[str | int], /) -> list[Document]:
        """Documents of these ids, in their order; those that are not there are left out."""
        self._searcher.check()
        wanted = [point_ids(str(one)) for one in ids]
        return _in_order(wanted, self._searcher.collection.points.retrieve_records(_points(ids)))

    async def aget_by_ids(self, ids: Sequence[str | int], /) -> list[Document]:
        """`get_by_ids`, awaited."""
        collection = self._searcher.async_collection
        if collection is None:
            return await asyncio.to_thread(self.get_by_ids, ids)
        await self._searcher.acheck()
        wanted = [point_ids(str(one)) for one in ids]
        return _in_order(wanted, await collection.retrieve_records(_points(ids)))


def _client(
    client: QdrantClient | None,
    url: str | None,
    path: str | None,
    api_key: SecretStr | str | None,
) -> QdrantClient:
    if client is None:
        return connect(url, path, api_key=api_key)
    if url or path or api_key:
        raise UsageError("A client was given beside url, path or api_key: leave those out.")
    return client


def _points(ids: Sequence[str | int] | None) -> list[PointId]:
    """Where documents lie that are to be deleted."""
    if ids is None:
        raise UsageError(
            "delete needs the ids of documents. A whole collection goes by "
            "client.delete_collection(collection_name)."
        )
    each = [ids] if isinstance(ids, str | int) else ids
    return [point for one in each for point in point_ids(str(one))]


def _in_order(wanted: Sequence[list[PointId]], records: Sequence[models.Record]) -> list[Document]:
    found = {normalized_id(record.id): record for record in records}
    there = (next((found[one] for one in ids if one in found), None) for ids in wanted)
    return [to_document(record) for record in there if record is not None]


def _not_added(
    collection_name: str, passages: Sequence[Passage], rejects: Sequence[Reject]
) -> DocumentsError:
    shown = "; ".join(
        f"number {one.line} (id {passages[one.line - 1].id!r}): {one.reason}"
        for one in rejects[:SHOWN]
    )
    more = f"; and {len(rejects) - SHOWN} more" if len(rejects) > SHOWN else ""
    return DocumentsError(
        f"{len(rejects)} of {len(passages)} documents were not added to {collection_name!r}, "
        f"the others were: {shown}{more}."
    )
