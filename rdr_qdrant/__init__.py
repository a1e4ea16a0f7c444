"""Passages into a Qdrant collection searchable with the Reader-Distilled Retriever, for LangChain.

The names below are the public interface; each is loaded when it is first asked for, so that
importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rdr_qdrant.client import connect, connect_async
    from rdr_qdrant.collection import CollectionSettings, Fusion
    from rdr_qdrant.embedded import EmbeddedQdrant
    from rdr_qdrant.embeddings import RDREmbeddings
    from rdr_qdrant.errors import RDRQdrantError
    from rdr_qdrant.evaluation import answer_recall
    from rdr_qdrant.export import ShardEncoder, ShardFolder
    from rdr_qdrant.ingest import LoadReport, QdrantLoader
    from rdr_qdrant.passages import Passage
    from rdr_qdrant.retriever import RDRRetriever
    from rdr_qdrant.vectorstore import BM25Embeddings as BM25Embeddings
    from rdr_qdrant.vectorstore import RDRVectorStore as RDRVectorStore

__version__ = "0.1.0"

_HOMES = {
    "BM25Embeddings": "vectorstore",
    "CollectionSettings": "collection",
    "EmbeddedQdrant": "embedded",
    "Fusion": "collection",
    "LoadReport": "ingest",
    "Passage": "passages",
    "QdrantLoader": "ingest",
    "RDREmbeddings": "embeddings",
    "RDRQdrantError": "errors",
    "RDRRetriever": "retriever",
    "RDRVectorStore": "vectorstore",
    "ShardEncoder": "export",
    "ShardFolder": "export",
    "answer_recall": "evaluation",
    "connect": "client",
    "connect_async": "client",
}

__all__ = [
    "CollectionSettings",
    "EmbeddedQdrant",
    "Fusion",
    "LoadReport",
    "Passage",
    "QdrantLoader",
    "RDREmbeddings",
    "RDRQdrantError",
    "RDRRetriever",
    "ShardEncoder",
    "ShardFolder",
    "answer_recall",
    "connect",
    "connect_async",
]
# Neither RDRVectorStore nor BM25Embeddings: they need an extra; `import *` shall work without.


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
