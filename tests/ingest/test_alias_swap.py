from __future__ import annotations

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.collection import Aliases
from rdr_qdrant.collection.aliases import REINDEX_KEY
from rdr_qdrant.errors import CollectionError, UsageError
from rdr_qdrant.searcher import PassageSearcher
from tests.conftest import COLLECTION
from tests.ingest.conftest import Swap, collections, dying


def test_the_first_load_makes_the_alias_and_the_second_moves_it(
    swap: Swap, client: QdrantClient, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    first = swap(passages[:2])
    assert (first.collection_name, first.alias) == (f"{COLLECTION}-1", COLLECTION)
    assert (first.replaced, first.points) == (None, 2)
    second = swap(passages)
    assert (second.collection_name, second.replaced) == (f"{COLLECTION}-2", f"{COLLECTION}-1")
    assert not second.dropped
    assert client.count(COLLECTION).count == 6
    assert collections(client) == ["-1", "-2"]
    assert len(PassageSearcher(tiny, client, COLLECTION).search(["who?"], k=10)[0]) == 6
    assert REINDEX_KEY not in (client.get_collection(COLLECTION).config.metadata or {})


def test_until_it_is_whole_nothing_changes_and_the_same_load_goes_on(
    swap: Swap, client: QdrantClient, passages: list[Passage]
) -> None:
    swap(passages[:2])
    with pytest.raises(RuntimeError):
        swap(dying(passages[:4]))
    assert Aliases(client).all()[COLLECTION] == f"{COLLECTION}-1"
    assert client.count(COLLECTION).count == 2

    report = swap(passages)
    assert report.collection_name == f"{COLLECTION}-2"
    assert report.unchanged >= 2
    assert client.count(COLLECTION).count == 6
    assert collections(client) == ["-1", "-2"]


def test_what_the_interrupted_load_wrote_and_the_next_does_not_have_is_removed(
    swap: Swap, client: QdrantClient, passages: list[Passage]
) -> None:
    with pytest.raises(RuntimeError):
        swap(dying(passages[:4]))
    report = swap(passages[2:])
    assert report.points == 4
    assert report.removed == 2


def test_another_load_does_not_go_on_with_it(
    swap: Swap, client: QdrantClient, passages: list[Passage], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RuntimeError):
        swap(dying(passages[:4]))
    client.update_collection(
        f"{COLLECTION}-1",
        metadata={REINDEX_KEY: {"alias": COLLECTION, "origin": {"sources": ["other.tsv"]}}},
    )
    assert swap(passages[:2]).collection_name == f"{COLLECTION}-2"
    assert "is an unfinished re-index" in caplog.text
    assert client.count(f"{COLLECTION}-1").count > 0


def test_the_old_one_is_dropped_on_request(
    swap: Swap, client: QdrantClient, passages: list[Passage]
) -> None:
    swap(passages[:2])
    assert swap(passages, drop_old=True).dropped
    assert collections(client) == ["-2"]
    assert client.count(COLLECTION).count == 6


def test_an_old_one_that_others_use_is_not_dropped(
    swap: Swap, client: QdrantClient, passages: list[Passage]
) -> None:
    swap(passages[:2])
    Aliases(client).assign(f"{COLLECTION}-live", f"{COLLECTION}-1")
    with pytest.raises(CollectionError, match=f"has other aliases \\({COLLECTION}-live\\)"):
        swap(passages, drop_old=True)
    assert collections(client) == ["-1"]


def test_a_collection_of_that_name_is_refused(
    swap: Swap, client: QdrantClient, passages: list[Passage]
) -> None:
    swap(passages[:1], swap_alias=False)
    with pytest.raises(CollectionError, match="is a collection itself, not an alias"):
        swap(passages)
    assert client.count(COLLECTION).count == 1
    assert collections(client) == [""]


def test_an_alias_is_loaded_into_and_not_recreated(
    swap: Swap, client: QdrantClient, passages: list[Passage]
) -> None:
    swap(passages[:2])
    assert swap(passages, swap_alias=False).points == 6
    assert client.count(f"{COLLECTION}-1").count == 6
    with pytest.raises(CollectionError, match="is an alias of a collection"):
        swap(passages, swap_alias=False, recreate=True)
    assert client.count(COLLECTION).count == 6


def test_nothing_to_load_moves_no_alias(
    swap: Swap, client: QdrantClient, passages: list[Passage]
) -> None:
    swap(passages)
    assert swap([]).alias is None
    assert Aliases(client).all()[COLLECTION] == f"{COLLECTION}-1"


def test_a_dry_run_makes_nothing(swap: Swap, client: QdrantClient, passages: list[Passage]) -> None:
    report = swap(passages, dry_run=True)
    assert (report.collection_name, report.uploaded) == (f"{COLLECTION}-1", 6)
    assert collections(client) == []
    assert COLLECTION not in Aliases(client).all()


def test_a_stopped_load_moves_no_alias(
    client: QdrantClient, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    loader = QdrantLoader(
        embeddings=tiny,
        client=client,
        collection_name=COLLECTION,
        swap_alias=True,
        batch_size=2,
        on_progress=lambda report: loader.stop() and None,
    )
    assert loader.load(passages).interrupted
    assert COLLECTION not in Aliases(client).all()


def test_contradictions_are_refused(swap: Swap) -> None:
    with pytest.raises(UsageError, match="recreate"):
        swap([], recreate=True)
    with pytest.raises(UsageError, match="works only with --swap-alias"):
        swap([], swap_alias=False, drop_old=True)
