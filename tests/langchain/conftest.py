"""An async client to the same Qdrant as the sync one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient

from rdr_qdrant import EmbeddedQdrant, RDREmbeddings, RDRVectorStore, connect
from rdr_qdrant.embedded import AsyncEmbeddedQdrant
from tests.conftest import COLLECTION, client_of

AsyncFace = Callable[[], AsyncQdrantClient]


@pytest.fixture(params=["server"] if os.environ.get("QDRANT_URL") else ["embedded", "http"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QdrantClient]:
    """No in-memory client: its sync and async clients would be two stores."""
    with client_of(request.param, tmp_path) as client:
        yield client


@pytest.fixture
def async_face(client: QdrantClient) -> AsyncFace:
    """Makes an async client; call it inside the event loop."""

    def face() -> AsyncQdrantClient:
        if isinstance(client, EmbeddedQdrant):
            return AsyncEmbeddedQdrant.from_client(client)
        return AsyncQdrantClient(url=client._client.rest_uri, check_compatibility=False)

    return face


@pytest.fixture(scope="module")
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny: RDREmbeddings
) -> Iterator[RDRVectorStore]:
    """A store of the module's DOCUMENTS."""
    with connect(path=tmp_path_factory.mktemp("store")) as client:
        yield RDRVectorStore.from_documents(
            request.module.DOCUMENTS, tiny, client=client, collection_name=COLLECTION
        )


@pytest.fixture(params=["sync client", "async client"])
async def either_store(store: RDRVectorStore, request: pytest.FixtureRequest) -> RDRVectorStore:
    """The store with its async methods over the sync client, and over an async client."""
    if request.param == "sync client":
        return store
    face = AsyncEmbeddedQdrant.from_client(store.client)
    return RDRVectorStore(store.client, COLLECTION, store.embeddings, async_client=face)
