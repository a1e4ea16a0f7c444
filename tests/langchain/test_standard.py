"""LangChain's own standard tests, all of them, over an embedded Qdrant and over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import (
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.unit_tests import EmbeddingsUnitTests
from qdrant_client import QdrantClient

from rdr_qdrant import (
    Passage,
    QdrantLoader,
    RDREmbeddings,
    RDRRetriever,
    RDRVectorStore,
)
from tests.conftest import COLLECTION
from tests.langchain.conftest import AsyncFace

DEMO = {"model": "demo"}


class TestEmbeddings(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return RDREmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return DEMO


class TestEmbeddingVectors(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return RDREmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return DEMO


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _collection(
        self, client: QdrantClient, demo: RDREmbeddings, passages: list[Passage]
    ) -> None:
        QdrantLoader(embeddings=demo, client=client, collection_name=COLLECTION).load(passages)
        self.params = {"embeddings": demo, "client": client, "collection_name": COLLECTION}

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return RDRRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return self.params

    @property
    def retriever_query_example(self) -> str:
        return "Who built the city?"


class TestAsyncRetriever(TestRetriever):
    """The same with an async client for the async tests."""

    @pytest.fixture
    def retriever(self, async_face: AsyncFace) -> BaseRetriever:
        return RDRRetriever(**self.params, async_client=async_face())


class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(  # type: ignore[override]
        self, client: QdrantClient, demo: RDREmbeddings
    ) -> VectorStore:
        return RDRVectorStore.from_texts([], demo, client=client, collection_name=COLLECTION)

    @staticmethod
    def get_embeddings() -> Embeddings:
        return RDREmbeddings(**DEMO)


class TestAsyncVectorStore(TestVectorStore):
    """The async tests, with an async client; no other method uses it."""

    @property
    def has_sync(self) -> bool:
        return False

    @pytest.fixture
    def vectorstore(  # type: ignore[override]
        self, client: QdrantClient, demo: RDREmbeddings, async_face: AsyncFace
    ) -> VectorStore:
        return RDRVectorStore.from_texts(
            [], demo, client=client, collection_name=COLLECTION, async_client=async_face()
        )


class TestHybridVectorStore(TestVectorStore):
    """The same in mode hybrid.

    Mode bm25 is none for these tests: they expect documents that hold no word of the query. Nor is
    langchain-qdrant's own store: it adds keys of its own to the metadata.
    """

    @pytest.fixture
    def vectorstore(  # type: ignore[override]
        self, client: QdrantClient, demo: RDREmbeddings
    ) -> VectorStore:
        return RDRVectorStore.from_texts(
            [], demo, client=client, collection_name=COLLECTION, mode="hybrid"
        )
