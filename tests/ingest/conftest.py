"""What tests of loads into servers and behind aliases share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import LoadReport, Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.collection import bulk_indexing as index_module
from tests.conftest import COLLECTION, client_of

Swap = Callable[..., LoadReport]


@pytest.fixture(params=["server"] if os.environ.get("QDRANT_URL") else ["embedded", "http"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QdrantClient]:
    """No in-memory client: tests/collection, tests/export and tests/test_retriever.py have one."""
    with client_of(request.param, tmp_path) as client:
        yield client


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "POLL_SECONDS", 0.01)


@pytest.fixture
def swap(client: QdrantClient, tiny: RDREmbeddings) -> Swap:
    def swap(passages: object, **options: object) -> LoadReport:
        settings = {"swap_alias": True, "batch_size": 2} | options
        loader = QdrantLoader(
            embeddings=tiny, client=client, collection_name=COLLECTION, **settings
        )
        return loader.load(passages)

    return swap


def dying(passages: list[Passage]) -> Iterator[Passage]:
    yield from passages
    raise RuntimeError("the source broke")


def collections(client: QdrantClient) -> list[str]:
    names = (one.name for one in client.get_collections().collections)
    return sorted(name.removeprefix(COLLECTION) for name in names if name.startswith(COLLECTION))
