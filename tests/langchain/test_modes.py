"""Modes bm25 and hybrid of the retriever and the store, sync and async."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_qdrant import RetrievalMode
from qdrant_client import QdrantClient

from rdr_qdrant import BM25Embeddings, Passage, RDREmbeddings, RDRRetriever, RDRVectorStore
from rdr_qdrant.collection import Fusion
from rdr_qdrant.errors import CollectionError, UsageError
from tests.conftest import COLLECTION
from tests.langchain.conftest import AsyncFace

QUESTION = "Which king built the old city?"


@pytest.fixture
def store(
    client: QdrantClient, tiny: RDREmbeddings, passages: list[Passage], async_face: AsyncFace
) -> RDRVectorStore:
    store = RDRVectorStore(client, COLLECTION, tiny, mode="hybrid")
    store.add_documents(
        [Document(id=p.id, page_content=p.text, metadata={"title": p.title}) for p in passages]
    )
    return store


def found(documents: list[Document]) -> list[tuple[Any, Any]]:
    return [(one.id, one.metadata.get("score")) for one in documents]


def test_retriever_sync_and_async(
    store: RDRVectorStore, client: QdrantClient, tiny: RDREmbeddings, async_face: AsyncFace
) -> None:
    for options in (
        {"mode": "bm25"},
        {"mode": "hybrid"},
        {"mode": "hybrid", "fusion": Fusion("rrf", (1.0, 2.0), k=60), "candidates": 3},
        {"mode": "hybrid", "filter": {"title": "king"}, "k": 1},
    ):
        retriever = RDRRetriever(
            embeddings=tiny, client=client, collection_name=COLLECTION, **{"k": 3, **options}
        )
        expected = retriever.invoke(QUESTION)
        assert expected
        if options["mode"] == "bm25":
            assert all(
                {"king", "built", "old", "city"}
                & set(f"{d.metadata['title']} {d.page_content}".split())
                for d in expected
            )

        async def ask(retriever: RDRRetriever = retriever) -> list[list[Document]]:
            with_async = retriever.model_copy(update={"async_client": async_face()})
            return [await retriever.ainvoke(QUESTION), await with_async.ainvoke(QUESTION)]

        for answers in asyncio.run(ask()):
            assert found(answers) == found(expected)
    dense = RDRRetriever(embeddings=tiny, client=client, collection_name=COLLECTION)
    bound = dense.bind(mode="bm25", k=3).invoke(QUESTION)
    assert found(bound) == found(dense.model_copy(update={"mode": "bm25", "k": 3}).invoke(QUESTION))


def test_store_in_its_mode_and_in_that_of_one_call(store: RDRVectorStore) -> None:
    hybrid = store.similarity_search_with_score(QUESTION, k=6)
    assert len(hybrid) == 6
    words = store.similarity_search_with_score(QUESTION, k=6, mode="bm25")
    dense = store.similarity_search_with_score(QUESTION, k=6, mode="dense")
    assert {d.id for d, _ in words} < {d.id for d, _ in dense}
    assert [d.id for d in store.as_retriever(mode="bm25", k=6).invoke(QUESTION)] == [
        d.id for d, _ in words
    ]
    assert len({tuple(s for _, s in one) for one in (hybrid, words, dense)}) == 3
    again = asyncio.run(store.asimilarity_search_with_score(QUESTION, k=6))
    assert again == hybrid
    for other in (copy.copy(store), copy.deepcopy(store)):
        assert other.similarity_search_with_score(QUESTION, k=6) == hybrid


def test_langchains_names_are_accepted(
    store: RDRVectorStore, client: QdrantClient, tiny: RDREmbeddings
) -> None:
    theirs = RDRVectorStore(
        client,
        COLLECTION,
        tiny,
        retrieval_mode=RetrievalMode.SPARSE,
        sparse_embedding=BM25Embeddings(),
        sparse_vector_name="bm25",
    )
    assert theirs.similarity_search(QUESTION) == store.similarity_search(QUESTION, mode="bm25")
    german = RDRVectorStore(
        client,
        COLLECTION,
        tiny,
        retrieval_mode=RetrievalMode.HYBRID,
        sparse_embedding=BM25Embeddings("german"),
    )
    with pytest.raises(CollectionError, match="for english, not for german"):
        german.similarity_search(QUESTION)


def test_searches_without_words_are_refused(store: RDRVectorStore, tiny: RDREmbeddings) -> None:
    vector = tiny.embed_query(QUESTION)
    for call in (
        lambda: store.similarity_search_by_vector(vector),
        lambda: asyncio.run(store.asimilarity_search_by_vector(vector)),
        lambda: store.similarity_search_with_relevance_scores(QUESTION),
        lambda: store.max_marginal_relevance_search(QUESTION),
        lambda: asyncio.run(store.amax_marginal_relevance_search(QUESTION)),
    ):
        with pytest.raises(UsageError, match="mode"):
            call()
    assert store.similarity_search_by_vector(vector, mode="dense")
    assert store.max_marginal_relevance_search(QUESTION, mode="dense")


def test_relevance_is_refused_or_made_by_the_mode_of_the_call(
    store: RDRVectorStore, client: QdrantClient, tiny: RDREmbeddings
) -> None:
    relevance = store.similarity_search_with_relevance_scores
    assert all(0.0 <= score <= 1.0 for _, score in relevance(QUESTION, mode="dense"))
    dense = RDRVectorStore(client, COLLECTION, tiny)
    by_threshold = {"score_threshold": 0.1, "mode": "hybrid"}
    retriever = dense.as_retriever(
        search_type="similarity_score_threshold", search_kwargs=by_threshold
    )
    for call in (
        lambda: dense.similarity_search_with_relevance_scores(QUESTION, mode="bm25"),
        lambda: asyncio.run(
            dense.asimilarity_search_with_relevance_scores(QUESTION, mode="hybrid")
        ),
        lambda: retriever.invoke(QUESTION),
    ):
        with pytest.raises(UsageError, match="mode"):
            call()


def test_a_retriever_with_a_mode_is_pickled(
    store: RDRVectorStore, client: QdrantClient, tiny: RDREmbeddings
) -> None:
    retriever = RDRRetriever(
        embeddings=tiny,
        client=client,
        collection_name=COLLECTION,
        mode="hybrid",
        fusion=Fusion("linear", (1.0, 0.1)),
    )
    again = pickle.loads(pickle.dumps(retriever))
    assert (again.mode, again.fusion) == (retriever.mode, retriever.fusion)
