"""A collection that somebody deletes and creates again under a load."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.collection import Collection
from rdr_qdrant.errors import CollectionError, StoreError
from tests.conftest import COLLECTION


@pytest.mark.parametrize("pair", ["the same", "another"])
def test_a_load_notices_that_its_collection_was_created_again(
    client: QdrantClient,
    tiny: RDREmbeddings,
    other: RDREmbeddings,
    passages: list[Passage],
    pair: str,
) -> None:
    encoder = tiny if pair == "the same" else other

    def stream() -> Iterator[Passage]:
        yield from passages[:2]
        again = QdrantLoader(
            embeddings=encoder, client=client, collection_name=COLLECTION, recreate=True
        )
        again.load(passages[:1])
        yield from passages[2:]

    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION, batch_size=1)
    # a write that meets the moment without a collection says that it is not found
    with pytest.raises((CollectionError, StoreError), match=r"was created again|not found|exist"):
        loader.load(stream())


def test_the_check_is_made_on_the_way_too(
    client: QdrantClient,
    tiny: RDREmbeddings,
    passages: list[Passage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rdr_qdrant.ingest.job.RESULTS_PER_CHECK", 2)
    read = 0

    def endless() -> Iterator[Passage]:
        nonlocal read
        yield passages[0]
        client.delete_collection(COLLECTION)
        Collection(client, COLLECTION).create(tiny.identity())
        for read in range(100_000):
            yield Passage(f"p{read}", f"river {read}")

    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION, batch_size=1)
    with pytest.raises((CollectionError, StoreError), match=r"was created again|not found|exist"):
        loader.load(endless())
    assert read < 1000


def test_each_creation_has_an_id_of_its_own(client: QdrantClient, tiny: RDREmbeddings) -> None:
    collection = Collection(client, COLLECTION)
    first = collection.create(tiny.identity())
    assert first
    assert collection.create(tiny.identity()) is None
    assert collection.creation_id() == first
    collection.delete()
    second = collection.create(tiny.identity())
    assert second == collection.creation_id() != first
