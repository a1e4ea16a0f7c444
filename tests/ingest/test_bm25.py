"""Loads into collections with BM25: each point's sparse vector is that of its present text."""

from __future__ import annotations

import logging
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, RDRVectorStore, connect
from rdr_qdrant.collection import (
    BM25_VECTOR,
    Bm25Encoder,
    Collection,
    CollectionSettings,
    Questions,
    copy_collection,
)
from rdr_qdrant.errors import CollectionError, StoreError, UsageError
from tests.conftest import COLLECTION

ROUNDS = int(os.environ.get("RDR_TEST_ROUNDS", "12"))
WORDS = "river city king battle music number people north castle water the of and".split()
BM25 = CollectionSettings(bm25="english")
ENCODER = Bm25Encoder()


def check_vectors(client: QdrantClient, name: str = COLLECTION) -> int:
    """Compare each point's sparse vector with that of its text; returns the number of points."""
    points, _ = client.scroll(name, limit=10_000, with_vectors=True)
    for point in points:
        expected = ENCODER.passage(point.payload or {})
        assert isinstance(point.vector, dict) or expected is None
        found = point.vector.get(BM25_VECTOR) if isinstance(point.vector, dict) else None
        if expected is None:
            assert found is None, point.payload
            continue
        assert isinstance(found, models.SparseVector)
        assert dict(zip(found.indices, found.values, strict=True)) == pytest.approx(
            dict(zip(expected.indices, expected.values, strict=True))
        )
    return len(points)


def loader_of(client: QdrantClient, tiny: RDREmbeddings, **options: Any) -> QdrantLoader:
    return QdrantLoader(
        embeddings=tiny, client=client, collection_name=COLLECTION, batch_size=8, **options
    )


def test_rounds_of_edits_additions_and_deletions(
    client: QdrantClient, tiny: RDREmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    """BM25 is switched on in the middle, and dropped and added again now and then."""
    drawn = random.Random(0)
    corpus: dict[str, Passage] = {}
    collection = Collection(client, COLLECTION)
    switched_on = False
    store = RDRVectorStore(client, COLLECTION, tiny)
    for number in range(ROUNDS):
        changed = [
            Passage(
                str(drawn.randint(1, 40)),
                " ".join(drawn.choices(WORDS, k=drawn.randint(1, 9))),
                drawn.choice(["", "king", "the"]),
            )
            for _ in range(drawn.randint(1, 12))
        ]
        changed = list({p.id: p for p in changed}.values())
        if number % 3 == 2:
            store.add_texts(
                [p.text for p in changed],
                [{"title": p.title} for p in changed],
                [p.id for p in changed],
            )
        else:
            loader_of(client, tiny).load(changed)
        corpus |= {p.id: p for p in changed}
        gone = drawn.sample(sorted(corpus), min(len(corpus), drawn.randint(0, 3)))
        collection.points.delete([int(one) for one in gone])
        for one in gone:
            del corpus[one]
        if not switched_on and number >= ROUNDS // 3:
            collection.bm25.add()
            switched_on = True
        elif switched_on and number % 7 == 6:
            collection.bm25.drop()
            collection.bm25.add()
        if switched_on:
            assert check_vectors(client) == len(corpus)
    assert switched_on


def test_a_load_that_began_before_leaves_nothing_wrong(
    client: QdrantClient, tiny: RDREmbeddings
) -> None:
    """Points that it wrote before it knew of the vector get theirs when it is verified."""
    old = [Passage(str(n), "king of the north") for n in range(8)]
    loader_of(client, tiny).load(old)
    collection = Collection(client, COLLECTION)
    began = False

    def passages() -> Any:
        nonlocal began
        yield from (Passage(str(n), f"river {n}") for n in range(100, 108))
        collection.bm25.add()
        began = True
        yield from (Passage(str(n), "castle of water") for n in range(12))

    loader_of(client, tiny).load(passages())
    assert began
    assert check_vectors(client) == 20


@pytest.mark.parametrize("before", [8, 32])
def test_a_load_whose_bm25_is_taken_away_says_what_to_do(
    client: QdrantClient, tiny: RDREmbeddings, before: int
) -> None:
    """A writer that knew of it is refused by Qdrant; one that did not is told by verification."""

    def passages() -> Any:
        yield from (Passage(str(n), f"river {n}") for n in range(before))
        collection = Collection(client, COLLECTION)
        while not collection.exists():  # it is created meanwhile
            time.sleep(0.01)
        collection.bm25.drop()
        yield from (Passage(str(n), f"river {n}") for n in range(before, 64))

    told = (StoreError, CollectionError)
    with pytest.raises(told, match="BM25 was taken away meanwhile: run .*without --bm25"):
        loader_of(client, tiny, collection_settings=BM25).load(passages())
    assert loader_of(client, tiny).load(Passage(str(n), f"river {n}") for n in range(64)).points


def test_a_copy_and_a_new_collection_behind_an_alias(
    client: QdrantClient,
    tiny: RDREmbeddings,
    passages: list[Passage],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    loader_of(client, tiny, collection_settings=BM25).load(passages)
    with connect(path=tmp_path / "copy") as target:
        copy_collection(client, target, COLLECTION)
        assert check_vectors(target) == 6
        question = Questions(texts=["king"])
        for one in (client, target):
            [hits] = Collection(one, COLLECTION).query_points(question, k=9, mode="bm25")
            assert len(hits) == 3
    name = f"{COLLECTION}-alias"
    swapped = loader_of(client, tiny, collection_settings=BM25, swap_alias=True)
    swapped.collection_name = name
    swapped.load(passages)
    assert check_vectors(client, name) == 6
    with caplog.at_level(logging.WARNING):
        plain = loader_of(client, tiny, swap_alias=True)
        plain.collection_name = name
        plain.load(passages)
    assert "will have no BM25, which the present" in caplog.text
    assert Collection(client, name).bm25.record() is None


def test_rows_without_words_are_counted(client: QdrantClient, tiny: RDREmbeddings) -> None:
    loader_of(client, tiny).load([Passage("1", "the of"), Passage("2", "king")])
    report = Collection(client, COLLECTION).bm25.add()
    assert (report.indexed, report.without_words) == (1, 1)
    assert Collection(client, COLLECTION).describe().bm25["points"] == 1  # type: ignore[index]
    loader_of(client, tiny).load([Passage("2", "the of")])
    assert check_vectors(client) == 2


def test_the_language_of_a_store(client: QdrantClient, tiny: RDREmbeddings) -> None:
    store = RDRVectorStore(client, COLLECTION, tiny, mode="hybrid", language="german")
    store.add_texts(["die Häuser am Fluss"], ids=["1"])
    record = Collection(client, COLLECTION).bm25.record()
    assert record is not None
    assert record.language == "german"
    with pytest.raises(UsageError, match="MMR compares vectors alone"):
        store.max_marginal_relevance_search("Haus")
    found = store.similarity_search("Häuser", mode="bm25")  # not if its stem were the English one
    assert [document.id for document in found] == ["1"]
