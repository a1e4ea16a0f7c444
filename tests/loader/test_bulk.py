from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import LoadReport, Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.collection import Collection
from rdr_qdrant.collection.indexing import BULK_KEY
from rdr_qdrant.errors import CollectionError, StoreError
from rdr_qdrant.retriever import PassageSearcher
from tests.conftest import COLLECTION

Load = Callable[..., LoadReport]


@pytest.fixture
def load(server: QdrantClient, tiny: RDREmbeddings) -> Load:
    def load(passages: object, **options: object) -> LoadReport:
        loader = QdrantLoader(embeddings=tiny, client=server, collection_name=COLLECTION, **options)
        return loader.load(passages)

    return load


def threshold(client: QdrantClient) -> int | None:
    return client.get_collection(COLLECTION).config.optimizer_config.indexing_threshold


def note(client: QdrantClient) -> object:
    return (client.get_collection(COLLECTION).config.metadata or {}).get(BULK_KEY)


def test_the_index_is_off_during_the_load_and_on_after_it(
    load: Load, server: QdrantClient, passages: list[Passage]
) -> None:
    load(passages[:1])
    before = threshold(server)
    during = []

    def stream() -> Iterator[Passage]:
        yield from passages[:2]
        during.append((threshold(server), note(server)))
        yield from passages[2:]

    looks: list[tuple[int, int]] = []
    report = load(
        stream(),
        bulk=True,
        batch_size=2,
        on_server_indexing=lambda indexed, total: looks.append((indexed, total)),
    )
    assert report.points == 6
    assert during == [(0, {"indexing_threshold": before or 10_000})]
    assert threshold(server) == (before or 10_000)
    assert note(server) is None
    assert looks[-1][1] == 6


def test_every_qdrant_takes_a_bulk_load(
    client: QdrantClient, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION, bulk=True)
    assert loader.load(passages).points == 6
    assert note(client) is None


def test_a_load_that_dies_says_so_and_the_next_one_restores(
    load: Load,
    server: QdrantClient,
    tiny: RDREmbeddings,
    passages: list[Passage],
    caplog: pytest.LogCaptureFixture,
) -> None:
    load(passages[:1])
    before = threshold(server) or 10_000

    def dying() -> Iterator[Passage]:
        yield from passages[:4]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        load(dying(), bulk=True, batch_size=2)
    assert threshold(server) == 0
    assert "stays put off, since the load did not end" in caplog.text

    caplog.clear()
    PassageSearcher(tiny, server, COLLECTION).search(["who?"], k=1)
    assert "is put off by a bulk load that has not ended" in caplog.text
    assert Collection(server, COLLECTION).describe().index_put_off

    assert load(passages).points == 6  # without bulk
    assert threshold(server) == before
    assert note(server) is None
    assert not Collection(server, COLLECTION).describe().index_put_off


def test_a_load_that_is_killed_between_note_and_switch_loses_nothing(
    load: Load, server: QdrantClient, passages: list[Passage]
) -> None:
    load(passages[:1])
    server.update_collection(COLLECTION, metadata={BULK_KEY: {"indexing_threshold": 12_345}})
    during = []

    def stream() -> Iterator[Passage]:
        yield from passages[:2]
        during.append(threshold(server))
        yield passages[2]

    load(stream(), bulk=True, batch_size=2)
    assert during == [0]
    assert threshold(server) == 12_345


def test_a_dry_run_switches_nothing(
    load: Load, server: QdrantClient, passages: list[Passage]
) -> None:
    load(passages[:1])
    before = threshold(server)
    load(passages, bulk=True, dry_run=True)
    assert threshold(server) == before
    assert note(server) is None


def test_an_index_that_its_owner_switched_off_stays_off(
    load: Load, server: QdrantClient, passages: list[Passage]
) -> None:
    load(passages[:1])
    server.update_collection(
        COLLECTION, optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0)
    )
    load(passages, bulk=True)
    assert threshold(server) == 0
    assert note(server) is None


def test_others_collections_are_not_switched(
    server: QdrantClient, load: Load, passages: list[Passage]
) -> None:
    params = models.VectorParams(size=32, distance=models.Distance.DOT)
    server.create_collection(COLLECTION, vectors_config=params)
    before = threshold(server)
    with pytest.raises(CollectionError, match="does not say that rdr-qdrant made it"):
        load(passages, bulk=True, allow_unverified=True)
    assert threshold(server) == before


class Scripted:
    """`get_collection` answers with these states, one after the other."""

    def __init__(self, client: QdrantClient, states: list[str]) -> None:
        self._ask, self._states = client.get_collection, states
        self.updates = 0

    def __call__(self, name: str) -> models.CollectionInfo:
        info = self._ask(name)
        state = self._states.pop(0) if self._states else "green"
        return info.model_copy(update={"status": models.CollectionStatus(state)})


def test_yellow_is_waited_for_and_grey_is_woken(
    load: Load, server: QdrantClient, passages: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(passages)
    states = ["grey", "yellow", "green", "yellow", "green", "green"]
    monkeypatch.setattr(server, "get_collection", Scripted(server, states))
    woken = []
    update = server.update_collection
    monkeypatch.setattr(
        server, "update_collection", lambda *a, **k: woken.append(k) or update(*a, **k)
    )
    Collection(server, COLLECTION).wait_for_index()
    assert states == []
    assert [set(one) for one in woken] == [{"optimizers_config"}]


def test_failed_optimizers_are_an_error(
    load: Load, server: QdrantClient, passages: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(passages)
    monkeypatch.setattr(server, "get_collection", Scripted(server, ["yellow", "red"]))
    with pytest.raises(StoreError, match=r"failed to index .* \(status red"):
        Collection(server, COLLECTION).wait_for_index()


def test_a_server_without_metadata_is_not_put_in_bulk_mode(
    load: Load, server: QdrantClient, passages: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(passages)
    before = threshold(server)
    update = server.update_collection

    def forgetful(name: str, metadata: object = None, **others: object) -> bool:
        return update(name, **others)

    monkeypatch.setattr(server, "update_collection", forgetful)
    with pytest.raises(CollectionError, match="Leave --bulk"):
        load(passages, bulk=True)
    assert threshold(server) == before
