"""A re-index that is not alone: one before it ended early, or another is under way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import LoadReport, Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.client import RetryPolicy
from rdr_qdrant.collection import Aliases, Collection, CollectionSettings
from rdr_qdrant.collection.aliases import REINDEX_KEY
from rdr_qdrant.errors import CollectionError
from rdr_qdrant.ingest.alias_swap import AliasSwap
from rdr_qdrant.readers import open_source
from tests.conftest import COLLECTION
from tests.ingest.conftest import Swap, collections, dying


@contextlib.contextmanager
def ending_after_the_switch() -> Iterator[None]:
    """A load inside ends once the alias is on its collection, before the note is taken out."""

    def end(*_: object) -> None:
        raise RuntimeError("ended after the switch")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Collection, "remove_metadata_key", end)
        with pytest.raises(RuntimeError, match="the switch"):
            yield


def noted(client: QdrantClient, suffix: str) -> bool:
    metadata = client.get_collection(f"{COLLECTION}{suffix}").config.metadata or {}
    return REINDEX_KEY in metadata


def test_an_end_between_the_switch_and_its_note_is_mended(
    swap: Swap, client: QdrantClient, passages: list[Passage]
) -> None:
    swap(passages[:1])
    with ending_after_the_switch():
        swap(passages)
    assert Aliases(client).all()[COLLECTION] == f"{COLLECTION}-2"
    report = swap(passages, drop_old=True)
    assert (report.collection_name, report.replaced) == (f"{COLLECTION}-2", f"{COLLECTION}-1")
    assert report.dropped
    assert collections(client) == ["-2"]


def test_what_others_wrote_since_the_switch_stays(
    swap: Swap, client: QdrantClient, passages: list[Passage]
) -> None:
    with ending_after_the_switch():
        swap(passages[:2])
    swap(passages[2:], swap_alias=False)  # through the alias
    report = swap(passages[:2])
    assert (report.collection_name, report.removed) == (f"{COLLECTION}-1", None)
    assert client.count(COLLECTION).count == 6
    assert not noted(client, "-1")


def test_after_a_switch_another_load_begins_anew_and_the_note_of_the_first_is_gone(
    swap: Swap, client: QdrantClient, passages: list[Passage], caplog: pytest.LogCaptureFixture
) -> None:
    with ending_after_the_switch():
        swap(passages[:2])
    swap(passages[2:3], swap_alias=False)
    other = swap(passages, collection_settings=CollectionSettings(m=32))
    assert (other.collection_name, other.replaced) == (f"{COLLECTION}-2", f"{COLLECTION}-1")
    assert "unfinished" not in caplog.text
    assert not noted(client, "-1")
    assert client.count(f"{COLLECTION}-1").count == 3


def test_other_settings_or_another_vector_begin_another_collection(
    swap: Swap, client: QdrantClient, passages: list[Passage], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RuntimeError):
        swap(dying(passages[:4]), collection_settings=CollectionSettings.preset("small"))
    with pytest.raises(RuntimeError):
        swap(dying(passages[:4]), vector_name="rdr")
    assert collections(client) == ["-1", "-2"]
    report = swap(passages, collection_settings=CollectionSettings.preset("small", m=32))
    assert report.collection_name == f"{COLLECTION}-3"
    assert "with other encoders or settings" in caplog.text


def test_the_same_sources_and_settings_go_on(
    client: QdrantClient, tiny: RDREmbeddings, write: Callable[..., Path]
) -> None:
    rows = [f'{{"id": "{n}", "text": "river {n}"}}\n' for n in range(6)]
    path = write("rows.jsonl", "".join(rows))
    indexes = {"year": "integer", "place": "keyword"}

    def load(*, stopped: bool = False) -> LoadReport:
        loader = QdrantLoader(
            embeddings=tiny,
            client=client,
            collection_name=COLLECTION,
            swap_alias=True,
            batch_size=2,
            collection_settings=CollectionSettings.preset("small", payload_indexes=indexes),
        )
        if stopped:
            loader.on_progress = lambda report: loader.stop() and None
        return loader.load_sources([open_source(path)])

    assert load(stopped=True).interrupted
    report = load()
    assert (report.collection_name, report.points) == (f"{COLLECTION}-1", 6)
    assert report.unchanged > 0


def test_of_two_that_choose_one_name_at_once_the_second_is_refused(
    swap: Swap, client: QdrantClient, passages: list[Passage]
) -> None:
    swap(passages[:1])

    def overtaken() -> Iterator[Passage]:
        with pytest.raises(RuntimeError):
            swap(dying(passages[:4]), collection_settings=CollectionSettings(m=32))
        yield from passages[4:]

    with pytest.raises(CollectionError, match=r"-2' was made by another load since this one began"):
        swap(overtaken())
    assert client.count(f"{COLLECTION}-2").count > 0
    again = swap(passages[4:])
    assert (again.collection_name, again.points) == (f"{COLLECTION}-3", 2)
    assert again.removed is None


def test_only_the_one_that_made_the_collection_has_it(
    client: QdrantClient, tiny: RDREmbeddings
) -> None:
    first, second = (
        AliasSwap(client, COLLECTION, {"sources": [name]}, drop_old=False, retry=RetryPolicy())
        for name in ("a.tsv", "b.tsv")
    )
    name = first.begin()
    assert second.begin() == name
    collection = Collection(client, name)
    collection.create(tiny.identity(), metadata=first.notes())
    collection.create(tiny.identity(), metadata=first.notes())  # the answer was lost
    indexed = CollectionSettings(payload_indexes={"year": "integer"})
    with pytest.raises(CollectionError, match="was made by another load"):
        collection.create(tiny.identity(), indexed, metadata=second.notes())
    assert not client.get_collection(name).payload_schema


def test_a_name_that_is_an_alias_is_not_chosen(
    swap: Swap, client: QdrantClient, passages: list[Passage]
) -> None:
    swap(passages[:1])
    Aliases(client).assign(f"{COLLECTION}-2", f"{COLLECTION}-1")
    assert swap(passages).collection_name == f"{COLLECTION}-3"
    assert client.count(f"{COLLECTION}-1").count == 1


def test_a_load_whose_twin_has_switched_removes_nothing(
    swap: Swap, client: QdrantClient, passages: list[Passage]
) -> None:
    with pytest.raises(RuntimeError):
        swap(dying(passages[:2]))

    def slow() -> Iterator[Passage]:
        yield from passages[:2]
        swap(passages[:2])
        swap(passages[2:], swap_alias=False)

    assert swap(slow()).removed is None
    assert client.count(COLLECTION).count == 6
