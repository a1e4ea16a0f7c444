"""`BM25Embeddings` in langchain-qdrant's own store, over collections of ours."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys

import pytest
from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseEmbeddings
from qdrant_client import QdrantClient, models

from rdr_qdrant import (
    BM25Embeddings,
    CollectionSettings,
    Passage,
    QdrantLoader,
    RDREmbeddings,
    RDRRetriever,
    RDRVectorStore,
)
from rdr_qdrant.collection.bm25 import Bm25Encoder
from rdr_qdrant.errors import UsageError
from tests.conftest import COLLECTION

QUESTION = "Which king built the old city?"


def langchain_store(
    client: QdrantClient, tiny: RDREmbeddings, mode: RetrievalMode
) -> QdrantVectorStore:
    return QdrantVectorStore(
        client=client,
        collection_name=COLLECTION,
        embedding=tiny,
        distance=models.Distance.DOT,
        retrieval_mode=mode,
        sparse_embedding=BM25Embeddings(),
        sparse_vector_name="bm25",
    )


@pytest.fixture
def loaded(client: QdrantClient, tiny: RDREmbeddings, passages: list[Passage]) -> QdrantClient:
    """A collection of six passages with BM25."""
    settings = CollectionSettings(bm25="english")
    loader = QdrantLoader(
        embeddings=tiny, client=client, collection_name=COLLECTION, collection_settings=settings
    )
    loader.load(passages)
    return client


def test_our_collection_is_read(loaded: QdrantClient, tiny: RDREmbeddings) -> None:
    """By words alone, ids and scores are those of our own mode; hybrid finds them as well."""
    ours = RDRRetriever(
        embeddings=tiny, client=loaded, collection_name=COLLECTION, k=4, mode="bm25"
    ).invoke(QUESTION)
    sparse = langchain_store(loaded, tiny, RetrievalMode.SPARSE)
    found = sparse.similarity_search_with_score(QUESTION, k=4)
    assert found[0][0].metadata["id"] == "2"
    assert len(found) == 3
    assert {d.id: d.metadata["score"] for d in ours} == pytest.approx(
        {document.metadata["id"]: score for document, score in found}, rel=1e-6
    )
    hybrid = langchain_store(loaded, tiny, RetrievalMode.HYBRID)
    [best, *_] = hybrid.similarity_search(QUESTION, k=6)
    assert best.page_content
    assert len(hybrid.similarity_search("the", k=6)) == 6
    assert sparse.similarity_search("the", k=6) == []


def test_our_collection_is_written(loaded: QdrantClient, tiny: RDREmbeddings) -> None:
    text = "the queen found another river"
    store = langchain_store(loaded, tiny, RetrievalMode.HYBRID)
    [added] = store.add_texts([text], metadatas=[{"id": "new", "title": ""}])
    [record] = loaded.retrieve(COLLECTION, [added], with_vectors=True)
    vectors = record.vector
    assert isinstance(vectors, dict)
    assert vectors["bm25"] == Bm25Encoder().document(text)
    assert vectors[""] == pytest.approx(tiny.embed_documents([text])[0], abs=1e-6)
    ours = RDRRetriever(
        embeddings=tiny, client=loaded, collection_name=COLLECTION, k=1, mode="bm25"
    )
    assert [d.page_content for d in ours.invoke("a queen?")] == [text]


def test_our_store_takes_langchains_options(loaded: QdrantClient, tiny: RDREmbeddings) -> None:
    """A program that used `QdrantVectorStore` changes the class alone."""
    theirs = {
        "retrieval_mode": RetrievalMode.HYBRID,
        "sparse_embedding": BM25Embeddings(),
        "sparse_vector_name": "bm25",
        "distance": models.Distance.DOT,
    }
    found = RDRVectorStore(loaded, COLLECTION, tiny, **theirs).similarity_search(QUESTION, k=3)
    expected = RDRVectorStore(loaded, COLLECTION, tiny, mode="hybrid").similarity_search(
        QUESTION, k=3
    )
    assert [document.id for document in found] == [document.id for document in expected]


def test_vectors_are_those_of_the_collection() -> None:
    embeddings = BM25Embeddings("german")
    encoder = Bm25Encoder("german")
    texts = ["Der König baute die Städte", "und", ""]
    assert isinstance(embeddings, SparseEmbeddings)
    for text, vector in zip(texts, embeddings.embed_documents(texts), strict=True):
        assert vector.model_dump() == encoder.document(text).model_dump()
    question = embeddings.embed_query("Welche Könige?")
    assert question.model_dump() == encoder.question("Welche Könige?").model_dump()
    assert asyncio.run(embeddings.aembed_query("Welche Könige?")) == question
    assert asyncio.run(embeddings.aembed_documents(texts)) == embeddings.embed_documents(texts)


def test_it_can_be_copied_and_pickled() -> None:
    embeddings = BM25Embeddings("german")
    for other in (copy.deepcopy(embeddings), pickle.loads(pickle.dumps(embeddings))):
        assert repr(other) == "BM25Embeddings(language='german')"
        assert other.embed_query("Könige") == embeddings.embed_query("Könige")


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UsageError, match="BM25 knows no language 'klingon'. It knows: arabic"):
        BM25Embeddings("klingon")


def test_neither_torch_nor_fastembed_is_loaded() -> None:
    script = (
        "import sys\n"
        "from rdr_qdrant import BM25Embeddings\n"
        "assert BM25Embeddings().embed_query('king').values == [1.0]\n"
        "print({'torch', 'transformers', 'fastembed'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
