"""The searches of LangChain's vector stores, sync and async, by raw inner product."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from langchain_core.documents import Document
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

from rdr_qdrant.collection import QueryOptions
from rdr_qdrant.collection.filters import FilterFactory
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.errors import UsageError
from rdr_qdrant.retriever import PassageSearcher
from rdr_qdrant.vectorstore.conversion import document_filter, to_document
from rdr_qdrant.vectorstore.mmr import marginal_relevance, relevance

if TYPE_CHECKING:
    from rdr_qdrant.encoding import FloatArray

OPTIONS = ("filter", "score_threshold", "search_params", "exact", "offset")
Scored = list[tuple[Document, float]]
Points = Sequence[models.ScoredPoint]


class SearchingStore(QdrantVectorStore):
    """`QdrantVectorStore` whose searches go through a `PassageSearcher`.

    Methods that are not here (`similarity_search`, `as_retriever`, ...) are LangChain's, over
    these. Each takes the options `filter` (a dict of metadata, or Qdrant's own), `score_threshold`
    (raw inner product), `search_params`, `exact` and `offset`.
    """

    def __init__(
        self,
        searcher: PassageSearcher,
        client: QdrantClient,
        collection_name: str,
        embedding: RDREmbeddings,
        vector_name: str,
    ) -> None:
        super().__init__(
            client,
            collection_name,
            embedding,
            vector_name=vector_name,
            distance=models.Distance.DOT,
            validate_embeddings=False,
            validate_collection_config=False,
        )
        self._embedding = embedding
        self._searcher = searcher

    def similarity_search_with_score(  # type: ignore[override]
        self, query: str, k: int = 4, filter: Any = None, **options: Any
    ) -> Scored:
        """Documents with the highest inner products, which come with them, best first."""
        wanted = _wanted(k, filter=filter, **options)
        return _scored(self._points(self._searcher.encode([query]), wanted))

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, filter: Any = None, **options: Any
    ) -> Scored:
        """`similarity_search_with_score`, awaited."""
        wanted = _wanted(k, filter=filter, **options)
        return _scored(await self._apoints(await self._searcher.aencode([query]), wanted))

    async def asimilarity_search(
        self, query: str, k: int = 4, filter: Any = None, **options: Any
    ) -> list[Document]:
        """`similarity_search`, awaited."""
        return _unscored(await self.asimilarity_search_with_score(query, k, filter, **options))

    def similarity_search_with_score_by_vector(  # type: ignore[override]
        self, embedding: list[float], k: int = 4, filter: Any = None, **options: Any
    ) -> Scored:
        """`similarity_search_with_score` for a question's vector."""
        wanted = _wanted(k, filter=filter, **options)
        return _scored(self._points(_array(embedding), wanted))

    async def asimilarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: Any = None, **options: Any
    ) -> list[Document]:
        """`similarity_search_by_vector`, awaited."""
        wanted = _wanted(k, filter=filter, **options)
        return _unscored(_scored(await self._apoints(_array(embedding), wanted)))

    def max_marginal_relevance_search(  # type: ignore[override]
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **options: Any
    ) -> list[Document]:
        """Documents that are relevant and unlike each other, out of the `fetch_k` best.

        `lambda_mult` 1 is relevance alone, 0 difference alone, as everywhere in LangChain.
        """
        question = self._searcher.encode([query])
        points = self._points(question, _wanted(fetch_k, with_vectors=True, **options))
        return _unscored(self._diverse(points, question, k, lambda_mult))

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **options: Any
    ) -> list[Document]:
        """`max_marginal_relevance_search`, awaited."""
        question = await self._searcher.aencode([query])
        points = await self._apoints(question, _wanted(fetch_k, with_vectors=True, **options))
        return _unscored(self._diverse(points, question, k, lambda_mult))

    def max_marginal_relevance_search_with_score_by_vector(  # type: ignore[override]
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **options: Any,
    ) -> Scored:
        """`max_marginal_relevance_search` for a question's vector, with raw inner products."""
        question = _array(embedding)
        points = self._points(question, _wanted(fetch_k, with_vectors=True, **options))
        return self._diverse(points, question, k, lambda_mult)

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **options: Any,
    ) -> list[Document]:
        """`max_marginal_relevance_search_by_vector`, awaited."""
        question = _array(embedding)
        points = await self._apoints(question, _wanted(fetch_k, with_vectors=True, **options))
        return _unscored(self._diverse(points, question, k, lambda_mult))

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """`ranking.relevance` with this pair's typical inner product."""
        return partial(relevance, typical=self._typical)

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **options: Any
    ) -> Scored:
        relevance_of = await asyncio.to_thread(self._select_relevance_score_fn)
        found = await self.asimilarity_search_with_score(query, k, **options)
        return [(document, relevance_of(score)) for document, score in found]

    @cached_property
    def _typical(self) -> float:
        """The product of the lengths of the pair's two probes."""
        identity = self._embedding.identity()
        lengths = [float(np.linalg.norm(p)) for p in (identity.probe, identity.question_probe)]
        return lengths[0] * lengths[1]

    def _points(self, question: FloatArray, wanted: QueryOptions) -> Points:
        [points] = self._searcher.find(question, **wanted)
        return points

    async def _apoints(self, question: FloatArray, wanted: QueryOptions) -> Points:
        [points] = await self._searcher.afind(question, **wanted)
        return points

    def _diverse(self, points: Points, question: FloatArray, k: int, lambda_mult: float) -> Scored:
        lie = [point.vector for point in points]
        plain = [v[self.vector_name] if isinstance(v, Mapping) else v for v in lie]
        vectors = np.asarray(plain, dtype=np.float32)
        scores = [point.score for point in points]
        taken = marginal_relevance(scores, vectors, question[0], k, lambda_mult)
        return _scored([points[i] for i in taken])


def _wanted(k: int, **options: Any) -> QueryOptions:
    """What a search is asked for; options that are `None` are left out.

    Raises:
        UsageError: one that there is not.
    """
    given = {name: value for name, value in options.items() if value is not None}
    unknown = given.keys() - {*OPTIONS, "with_vectors"}
    if unknown:
        raise UsageError(
            f"RDRVectorStore has no {', '.join(sorted(unknown))} for a search; "
            f"there are {', '.join(OPTIONS)}."
        )
    if isinstance(given.get("filter"), Mapping):
        given["filter"] = FilterFactory(given["filter"], document_filter)
    return cast(QueryOptions, {"k": k, **given})


def _array(embedding: Sequence[float]) -> FloatArray:
    return np.asarray([embedding], dtype=np.float32)


def _scored(points: Points) -> Scored:
    return [(to_document(point), point.score) for point in points]


def _unscored(scored: Scored) -> list[Document]:
    return [document for document, _ in scored]
