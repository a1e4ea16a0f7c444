"""LangChain's vector store over an RDR collection (extra `langchain`).

store       RDRVectorStore
conversion  between LangChain documents, passages and Qdrant points
mmr         relevance scores in [0, 1] and maximal marginal relevance for raw inner products
"""

from rdr_qdrant.errors import UsageError, install_hint

try:
    import langchain_qdrant  # noqa: F401 (RDRVectorStore derives from its class)
except ImportError:
    raise UsageError(
        f"RDRVectorStore needs langchain-qdrant: {install_hint('langchain')}."
    ) from None

from rdr_qdrant.vectorstore.store import DocumentsError, RDRVectorStore

__all__ = ["DocumentsError", "RDRVectorStore"]
