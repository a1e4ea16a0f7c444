from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import LoadReport, Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.collection import Collection
from rdr_qdrant.collection.bulk_indexing import BULK_KEY
from rdr_qdrant.embedded import EmbeddedQdrant
from rdr_qdrant.errors import CollectionError
from rdr_qdrant.ingest.batch_result import BatchResult
from rdr_qdrant.ingest.executor import Execution
from rdr_qdrant.searcher import PassageSearcher
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


def changes_of(client: QdrantClient, monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The thresholds that are sent from now on."""
    sent: list[int | None] = []
    update = client.update_collection

    def watched(name: str, **options: object) -> bool:
        if optimizers := options.get("optimizers_config"):
            sent.append(optimizers.indexing_threshold)
        return update(name, **options)

    monkeypatch.setattr(client, "update_collection", watched)
    return sent


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
    assert report.index_seconds is not None
    assert report.to_json()["index_seconds"] > 0
    assert during == [(0, {"indexing_threshold": before or 10_000})]
    assert threshold(server) == (before or 10_000)
    assert note(server) is None
    assert looks[-1][1] == 6


def test_every_qdrant_takes_a_bulk_load(
    client: QdrantClient, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION, bulk=True)
    report = loader.load(passages)
    assert report.points == 6
    if isinstance(client, EmbeddedQdrant):  # as small as that it needs no index
        assert report.index_seconds is None
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
    assert "stays disabled, since the load did not finish" in caplog.text

    caplog.clear()
    PassageSearcher(tiny, server, COLLECTION).search(["who?"], k=1)
    assert "is deferred by a bulk load that has not finished" in caplog.text
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


def test_where_nothing_is_written_a_running_index_build_is_let_be(
    load: Load, server: QdrantClient, passages: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(passages)
    changes = changes_of(server, monkeypatch)
    report = load(passages, bulk=True)
    assert (report.unchanged, 0 in changes) == (6, False)
    assert report.index_seconds is not None  # it was asked for, and may still be under way
    changed = [replace(one, metadata={"source": "now"}) for one in passages[:1]]
    assert load(changed, bulk=True).updated == 1
    assert changes[0] == 0


def test_what_is_put_off_already_is_not_put_off_again(
    load: Load, server: QdrantClient, passages: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(passages[:1])
    assert Collection(server, COLLECTION).bulk_indexing.defer_indexing()
    changes = changes_of(server, monkeypatch)
    load(passages, bulk=True)
    assert 0 not in changes
    assert note(server) is None


def test_a_note_is_restored_and_waited_for_where_nothing_is_written(
    load: Load, server: QdrantClient, passages: list[Passage]
) -> None:
    load(passages)
    before = threshold(server) or 10_000
    assert Collection(server, COLLECTION).bulk_indexing.defer_indexing()
    looks: list[int] = []
    load(passages, bulk=True, on_server_indexing=lambda *_: looks.append(1))
    assert (threshold(server), note(server)) == (before, None)
    assert looks


@pytest.mark.parametrize("bulk", [True, False])
def test_a_bulk_load_waits_although_another_load_switched_the_index_on(
    load: Load, server: QdrantClient, passages: list[Passage], *, bulk: bool
) -> None:
    load(passages[:1])
    looks: list[int] = []
    during = []

    def stream() -> Iterator[Passage]:
        yield from passages[:4]
        load(passages[:1], bulk=bulk)
        during.append(note(server))
        yield from passages[4:]

    tell = looks.append
    report = load(stream(), bulk=True, batch_size=2, on_server_indexing=lambda n, _: tell(n))
    assert during == [None]
    assert looks
    assert report.index_seconds is not None
    assert note(server) is None


class RemoteExecutor:
    """An executor whose processes find something to do, or nothing."""

    reads_files = True

    def __init__(self, counts: dict[str, int], then: Callable[[], None]) -> None:
        self._counts = counts
        self._then = then

    def execute(self, run: Execution) -> None:
        run.apply(BatchResult(Counter(self._counts), partition=0))
        self._then()


@pytest.mark.parametrize(("counts", "off"), [({"uploaded": 1}, True), ({"unchanged": 1}, False)])
def test_writes_of_other_processes_defer_indexing(
    load: Load,
    server: QdrantClient,
    passages: list[Passage],
    counts: dict[str, int],
    off: bool,
) -> None:
    load(passages[:1])
    before = threshold(server) or 10_000
    during: list[bool] = []
    executor = RemoteExecutor(counts, lambda: during.append(threshold(server) == 0))
    load(passages, bulk=True, executor=executor)
    assert during == [off]
    assert (threshold(server), note(server)) == (before, None)


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


def test_a_server_without_metadata_is_not_put_in_bulk_mode(
    load: Load, server: QdrantClient, passages: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(passages[:5])
    before = threshold(server)
    update = server.update_collection

    def forgetful(name: str, metadata: object = None, **others: object) -> bool:
        return update(name, **others)

    monkeypatch.setattr(server, "update_collection", forgetful)
    with pytest.raises(CollectionError, match="Leave --bulk"):
        load(passages, bulk=True)
    assert (threshold(server), server.count(COLLECTION).count) == (before, 5)
