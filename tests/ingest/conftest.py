"""What tests of loads into servers and behind aliases share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import LoadReport, Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.collection import bulk_indexing as index_module
from tests.conftest import COLLECTION

Swap = Callable[..., LoadReport]


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
