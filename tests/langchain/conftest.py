"""An async client to the same Qdrant as the sync one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient

from rdr_qdrant import EmbeddedQdrant
from rdr_qdrant.embedded import AsyncEmbeddedQdrant
from tests.conftest import client_of

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
