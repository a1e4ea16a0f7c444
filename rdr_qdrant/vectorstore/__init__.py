"""LangChain's vector store over our collections (extra `langchain`).

store      RDRVectorStore: made, filled, emptied
searching  its searches, sync and async
documents  a LangChain document <-> a passage and its payload
refusals   what QdrantVectorStore can be asked for and RDR cannot have
ranking    relevance in [0, 1] and maximal marginal relevance, for unbounded inner products
"""

from rdr_qdrant.errors import UsageError, install_hint

try:
    import langchain_qdrant  # noqa: F401 (the class below derives from one of its)
except ImportError:
    raise UsageError(
        f"RDRVectorStore needs langchain-qdrant: {install_hint('langchain')}."
    ) from None

from rdr_qdrant.vectorstore.store import DocumentsError, RDRVectorStore

__all__ = ["DocumentsError", "RDRVectorStore"]
