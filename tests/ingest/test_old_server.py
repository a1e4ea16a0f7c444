"""A server before 1.16 keeps no metadata of collections: what works there, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.collection import Collection
from rdr_qdrant.errors import CollectionError, RDRQdrantError
from rdr_qdrant.readers import open_source
from rdr_qdrant.searcher import PassageSearcher
from tests.conftest import COLLECTION


@pytest.fixture
def old(server: QdrantClient, monkeypatch: pytest.MonkeyPatch) -> QdrantClient:
    """Takes metadata and keeps none, as a server does with a field that it does not know."""
    create, update = server.create_collection, server.update_collection

    def without_metadata(name: str, metadata: object = None, **options: object) -> bool:
        return create(name, **options)

    def unchanged(name: str, metadata: object = None, **changes: object) -> bool:
        return update(name, **changes) if changes else True

    monkeypatch.setattr(server, "create_collection", without_metadata)
    monkeypatch.setattr(server, "update_collection", unchanged)
    return server


def test_loads_and_searches_need_to_be_told_that_the_pair_fits(
    old: QdrantClient, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    def load(**options: object) -> int:
        settings = {"embeddings": tiny, "client": old, "collection_name": COLLECTION}
        return QdrantLoader(**settings | options).load(passages).verified

    assert load() == 6
    with pytest.raises(CollectionError, match="--allow-unverified"):
        load()
    assert load(allow_unverified=True) == 6
    for options in ({"bulk": True}, {"recreate": True}):
        with pytest.raises(CollectionError, match=r"Qdrant before 1\.16"):
            load(allow_unverified=True, **options)
    with pytest.raises(CollectionError, match="keeps no metadata"):
        load(swap_alias=True, collection_name=f"{COLLECTION}-live")
    with pytest.raises(CollectionError, match="--allow-unverified"):
        PassageSearcher(tiny, old, COLLECTION).search(["a king"], k=1)
    searcher = PassageSearcher(tiny, old, COLLECTION, allow_unverified=True)
    [hits] = searcher.search(["a king"], k=3)
    assert len(hits) == 3
    assert Collection(old, COLLECTION).points.count() == 6


def test_nothing_is_pruned_or_deleted_with_the_collection(
    old: QdrantClient, tiny: RDREmbeddings, passages: list[Passage], write: Callable[..., Path]
) -> None:
    loader = QdrantLoader(
        embeddings=tiny, client=old, collection_name=COLLECTION, allow_unverified=True
    )
    loader.load(passages)
    path = write("one.jsonl", '{"id": "1", "text": "a"}\n')
    loader = QdrantLoader(
        embeddings=tiny, client=old, collection_name=COLLECTION, allow_unverified=True
    )
    with pytest.raises(RDRQdrantError, match=r"Qdrant before 1\.16"):
        loader.load_sources([open_source(path)], prune=True)
    with pytest.raises(CollectionError, match=r"Qdrant before 1\.16"):
        Collection(old, COLLECTION).delete()
    assert old.count(COLLECTION).count == 6
