"""BM25 as LangChain's interface of sparse embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_qdrant import SparseEmbeddings, SparseVector

from rdr_qdrant.collection.bm25 import DEFAULT_LANGUAGE, Bm25Encoder

if TYPE_CHECKING:
    from qdrant_client import models


class BM25Embeddings(SparseEmbeddings):
    """Sparse vectors of Qdrant's own BM25, for langchain-qdrant's `QdrantVectorStore`.

    They are those that `rdr-qdrant ingest --bm25` stores, and the same as `qdrant/bm25` on a
    server. Nothing is downloaded, and neither fastembed nor torch is needed. `RDRVectorStore` needs
    none of this: it has `mode="hybrid"`.

    Setup:
        `pip install -c constraints.txt -e '.[langchain]'` in a clone, or
        `pip install 'rdr-qdrant[langchain]'`

    Key init args:
        language: of the texts, the one that the collection was made with; `none` is no language.

    Instantiate:
        >>> from langchain_qdrant import QdrantVectorStore, RetrievalMode
        >>> from qdrant_client import models
        >>> from rdr_qdrant import BM25Embeddings, RDREmbeddings, connect
        >>> store = QdrantVectorStore(
        ...     client=connect(),
        ...     collection_name="wiki",
        ...     embedding=RDREmbeddings(),
        ...     distance=models.Distance.DOT,
        ...     retrieval_mode=RetrievalMode.HYBRID,
        ...     sparse_embedding=BM25Embeddings(),
        ...     sparse_vector_name="bm25",
        ... )

    Search:
        >>> documents = store.similarity_search("Who wrote Faust?", k=5)

    `QdrantVectorStore` hands over texts without their titles: the words of a title that
    `rdr-qdrant ingest` would count are missing for documents that it adds.

    Raises:
        UsageError: the language is unknown.
    """

    def __init__(self, language: str = DEFAULT_LANGUAGE) -> None:
        self._encoder = Bm25Encoder(language)

    @property
    def language(self) -> str:
        """The language of the texts."""
        return self._encoder.language

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        """Return a vector for each text: for each word how much it says about the text."""
        return [_to_langchain(self._encoder.document(text)) for text in texts]

    def embed_query(self, text: str) -> SparseVector:
        """Return the vector of a question: 1 for each of its words."""
        return _to_langchain(self._encoder.question(text))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.language,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(language={self.language!r})"


def _to_langchain(vector: models.SparseVector) -> SparseVector:
    return SparseVector(indices=vector.indices, values=vector.values)
