"""`QdrantVectorStore` of langchain-qdrant works on the embedded store as on a server."""

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings.fake import DeterministicFakeEmbedding
from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseEmbeddings, SparseVector
from qdrant_client import models

from rdr_qdrant.embedded import EmbeddedQdrant

EMBEDDING = DeterministicFakeEmbedding(size=6)
PARAMS = models.VectorParams(size=6, distance=models.Distance.COSINE)
DOCUMENTS = [
    Document(id=str(i).rjust(32, "0"), page_content=f"text {i}", metadata={"i": i, "odd": i % 2})
    for i in range(8)
]


class FakeSparse(SparseEmbeddings):
    """A bag of words: one index for each word, by its length and first letter."""

    def embed_query(self, text: str) -> SparseVector:
        indices = sorted({len(word) * 128 + ord(word[0]) % 128 for word in text.split()})
        return SparseVector(indices=indices, values=[1.0] * len(indices))

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        return [self.embed_query(text) for text in texts]


@pytest.fixture
def store(embedded: EmbeddedQdrant) -> QdrantVectorStore:
    embedded.create_collection("docs", PARAMS)
    filled = QdrantVectorStore(embedded, "docs", EMBEDDING)
    filled.add_documents(DOCUMENTS)
    return filled


def test_searches_with_scores_filters_and_offsets(store: QdrantVectorStore) -> None:
    [(best, score), *_] = store.similarity_search_with_score("text 3", k=3)
    assert best.page_content == "text 3"
    assert score == pytest.approx(1.0, abs=1e-4)
    odd = models.Filter(
        must=models.FieldCondition(key="metadata.odd", match=models.MatchValue(value=1))
    )
    found = store.similarity_search("text 3", k=8, filter=odd)
    assert {d.metadata["i"] for d in found} == {1, 3, 5, 7}
    every = store.similarity_search("text 3", k=8)
    assert store.similarity_search("text 3", k=6, offset=2) == every[2:]
    assert len(store.similarity_search_with_score("text 3", k=8, score_threshold=0.999)) == 1


def test_maximal_marginal_relevance(store: QdrantVectorStore) -> None:
    found = store.max_marginal_relevance_search("text 3", k=4, fetch_k=8, lambda_mult=0.3)
    assert found[0].page_content == "text 3"
    assert len({d.metadata["i"] for d in found}) == 4


def test_deletes_and_gets_by_id(store: QdrantVectorStore) -> None:
    first, second = (str(d.id) for d in DOCUMENTS[:2])
    assert store.delete([first]) is True
    assert [d.page_content for d in store.get_by_ids([first, second])] == ["text 1"]


def test_a_collection_with_another_distance_is_refused(embedded: EmbeddedQdrant) -> None:
    embedded.create_collection("made", PARAMS)
    with pytest.raises(Exception, match="COSINE"):
        QdrantVectorStore(embedded, "made", EMBEDDING, distance=models.Distance.DOT)


def test_hybrid_retrieval(embedded: EmbeddedQdrant) -> None:
    embedded.create_collection(
        "hybrid", {"dense": PARAMS}, sparse_vectors_config={"sparse": models.SparseVectorParams()}
    )
    store = QdrantVectorStore(
        embedded,
        "hybrid",
        EMBEDDING,
        retrieval_mode=RetrievalMode.HYBRID,
        sparse_embedding=FakeSparse(),
        vector_name="dense",
        sparse_vector_name="sparse",
    )
    store.add_documents(DOCUMENTS)
    assert store.similarity_search("text 5", k=2)[0].page_content == "text 5"


async def test_async_searches(store: QdrantVectorStore) -> None:
    [best, *_] = await store.asimilarity_search("text 6", k=2)
    assert best.page_content == "text 6"
