"""LangChain's vector store over an RDR collection (extra `langchain`).

store            RDRVectorStore
bm25_embeddings  BM25Embeddings, for langchain-qdrant's own store
conversion       between LangChain documents, passages and Qdrant points
mmr              relevance scores in [0, 1] and maximal marginal relevance for raw inner products
"""

from rdr_qdrant.errors import UsageError, install_hint

try:
    import langchain_qdrant  # noqa: F401 (both classes derive from its classes)
except ImportError:
    raise UsageError(
        f"RDRVectorStore and BM25Embeddings need langchain-qdrant: {install_hint('langchain')}."
    ) from None

from rdr_qdrant.vectorstore.bm25_embeddings import BM25Embeddings
from rdr_qdrant.vectorstore.store import DocumentsError, RDRVectorStore

__all__ = ["BM25Embeddings", "DocumentsError", "RDRVectorStore"]
