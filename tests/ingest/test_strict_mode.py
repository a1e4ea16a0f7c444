"""Loads into collections in strict mode, which Qdrant Cloud switches on: each limit, and all."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import (
    Passage,
    QdrantLoader,
    RDREmbeddings,
    RDRRetriever,
    connect,
    connect_async,
)
from rdr_qdrant.client import LimitExceededError, RetryPolicy, retry
from rdr_qdrant.collection import AsyncCollection, Collection, CollectionSettings, Point
from rdr_qdrant.collection.limits import StrictLimits
from rdr_qdrant.embedded import EmbeddedQdrant
from rdr_qdrant.errors import CollectionError, StoreError
from rdr_qdrant.readers import open_source
from rdr_qdrant.searcher import PassageSearcher
from tests.support.faults import Status
from tests.support.qdrant_http_server import QdrantHTTPServer
from tests.support.upserts import after_each_upsert

LIMITS: dict[str, dict[str, Any]] = {
    "batch": {"upsert_max_batchsize": 5},
    "exact": {"search_allow_exact": False},
    "results": {"max_query_limit": 7},
    "filters": {"unindexed_filtering_retrieve": False, "unindexed_filtering_update": False},
    "writes": {"write_rate_limit": 3000},
    "reads": {"read_rate_limit": 1200},
    "conditions": {"filter_max_conditions": 2, "condition_max_size": 6},
    "searches": {"search_max_batchsize": 3},
}
LIMITS["least"] = {
    "upsert_max_batchsize": 1,
    "max_query_limit": 7,
    "write_rate_limit": 2,
    "read_rate_limit": 2,
    "condition_max_size": 1,
}
LIMITS["all"] = {
    key: value
    for name, limits in LIMITS.items()
    if name != "least"
    for key, value in limits.items()
}


class SimulatedTime:
    """A clock that only waiting moves; stands in for `time` and for the event that is waited on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float) -> None:
        self.now += timeout


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedTime:
    clock = SimulatedTime()
    monkeypatch.setattr(retry, "time", clock)
    return clock


@pytest.fixture
def http(tmp_path: Path, clock: SimulatedTime) -> Iterator[QdrantHTTPServer]:
    with (
        EmbeddedQdrant(tmp_path / "behind") as backend,
        QdrantHTTPServer(backend, clock=clock.monotonic) as server,
    ):
        yield server


@pytest.fixture
def client(http: QdrantHTTPServer) -> Iterator[QdrantClient]:
    client = connect(url=http.url)
    yield client
    client.close()


@pytest.fixture
def patient(clock: SimulatedTime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads wait in simulated time."""
    monkeypatch.setattr(RetryPolicy, "__init__", _with_clock(RetryPolicy.__init__, clock))


def _with_clock(init: Callable[..., None], clock: SimulatedTime) -> Callable[..., None]:
    def simulated(self: RetryPolicy, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        self._stop = clock  # type: ignore[assignment]

    return simulated


def be_strict(client: QdrantClient, **limits: Any) -> None:
    strict = models.StrictModeConfig(enabled=True, **limits)
    client.update_collection("c", strict_mode_config=strict)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("late", [False, True])
def test_bm25_keeps_to_each_limit(
    client: QdrantClient, tiny: RDREmbeddings, limits: dict[str, Any], late: bool
) -> None:
    """Limits that hold from the beginning, and those that come while it is read."""
    passages = [Passage(str(n), f"the king number {n}") for n in range(30)]
    QdrantLoader(embeddings=tiny, client=client, collection_name="c").load(passages)
    collection = Collection(client, "c", retry=RetryPolicy(600))
    if late:
        assert collection.limits == StrictLimits()
    be_strict(client, **limits)
    assert collection.bm25.add().indexed == 30
    client.update_collection("c", strict_mode_config=models.StrictModeConfig(enabled=False))
    points, _ = client.scroll("c", limit=99, with_vectors=["bm25"])
    assert all("bm25" in point.vector for point in points)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
def test_a_load_keeps_to_each_limit(
    client: QdrantClient,
    tiny: RDREmbeddings,
    write: Callable[[str, str], Path],
    limits: dict[str, Any],
) -> None:
    rows = [{"id": str(n), "text": f"the king number {n}", "year": n} for n in range(30)]
    path = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    Collection(client, "c").create(tiny.identity())
    be_strict(client, **limits)
    options: dict[str, Any] = {"embeddings": tiny, "client": client, "collection_name": "c"}
    loader = QdrantLoader(**options, batch_size=16)
    report = loader.load_sources([open_source(path)])
    assert (report.uploaded, report.verified, report.points) == (30, 30, 30)
    assert report.points_approximate is (limits.get("search_allow_exact") is False)
    for row in rows[:20]:
        row["year"] = -1
    write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows[:25]))
    report = QdrantLoader(**options).load_sources([open_source(path)], prune=True)
    assert (report.updated, report.unchanged, report.removed) == (20, 5, 5)
    patient = RetryPolicy(600)
    assert Collection(client, "c", retry=patient).points.count() == 25
    assert Collection(client, "c", retry=patient).describe().norms
    questions = [f"who is king {n}?" for n in range(9)]
    found = PassageSearcher(tiny, client, "c", retry=patient).search(questions, k=7)
    assert [len(hits) for hits in found] == [7] * 9


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
def test_neighbors_are_read_within_each_limit(
    client: QdrantClient, tiny: RDREmbeddings, limits: dict[str, Any]
) -> None:
    parts = [Passage(f"{text}#{n}", f"king {text}{n}") for text in "abc" for n in range(1, 4)]
    QdrantLoader(embeddings=tiny, client=client, collection_name="c").load(parts)
    client.create_payload_index("c", "metadata.id", models.PayloadSchemaType.KEYWORD)
    be_strict(client, **limits)
    searcher = PassageSearcher(tiny, client, "c", retry=RetryPolicy(600))
    [hits] = searcher.search(["which king?"], k=1, neighbors=2)
    name = hits[0].passage.id[0]
    assert hits[0].passage.metadata["neighbors"] == [f"{name}#{n}" for n in (1, 2, 3)]
    if (
        not {"filter_max_conditions", "condition_max_size"} & limits.keys()
    ):  # one more is one too many
        [hits] = searcher.search(["king?"], k=1, neighbors=2, filter={"id": ["a#1", "a#2"]})
        assert hits[0].passage.metadata["neighbors"] == ["a#1", "a#2"]


def test_the_server_refuses_what_the_limits_forbid(
    client: QdrantClient, tiny: RDREmbeddings
) -> None:
    """Otherwise the test above would prove nothing."""
    collection = Collection(client, "c")
    collection.create(tiny.identity())
    be_strict(client, **LIMITS["all"])
    with pytest.raises(LimitExceededError) as caught:
        RetryPolicy()(client, lambda: client.scroll("c", limit=8))
    assert (caught.value.name, caught.value.limit) == ("limit", 7)
    with pytest.raises(StoreError, match="Exact search disabled"):
        RetryPolicy()(client, lambda: client.count("c", exact=True))
    with pytest.raises(StoreError, match="please try to split your request"):
        RetryPolicy()(client, lambda: client.retrieve("c", list(range(1201))))


def test_a_limit_that_a_refusal_names_is_kept_to(client: QdrantClient, tiny: RDREmbeddings) -> None:
    collection = Collection(client, "c")
    collection.create(tiny.identity())
    assert collection.limits == StrictLimits()
    be_strict(client, upsert_max_batchsize=3, max_query_limit=4)  # by somebody else, meanwhile
    [vector] = tiny.encode_questions(["king"])
    points = [Point(number, vector, {}) for number in range(10)]
    assert collection.points.upsert(points).too_large == []
    assert sum(len(page) for page in collection.points.scroll_records(8)) == 10
    assert (collection.limits.points_per_upsert, collection.limits.results) == (3, 4)
    be_strict(client, read_rate_limit=8, write_rate_limit=8)
    assert len(collection.points.existing_ids(list(range(10)))) == 10
    assert collection.points.upsert(points[:1]).too_large == []


def test_pruning_with_too_few_conditions_is_refused_before_anything_is_encoded(
    client: QdrantClient, tiny: RDREmbeddings, write: Callable[[str, str], Path]
) -> None:
    path = write("a.jsonl", json.dumps({"id": "1", "text": "the king"}))
    Collection(client, "c").create(tiny.identity())
    be_strict(client, filter_max_conditions=1)
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name="c")
    with pytest.raises(CollectionError, match=r"at most 1 conditions .*: pruning needs 2"):
        loader.load_sources([open_source(path)], prune=True)
    assert client.count("c").count == 0


def test_a_dry_run_prunes_by_the_indexes_that_are_there(
    client: QdrantClient,
    tiny: RDREmbeddings,
    write: Callable[[str, str], Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An older version made the index of `source` alone; a dry run makes none."""
    path = write("a.jsonl", '{"id": "1", "text": "king"}\n{"id": "2", "text": "river"}')
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name="c")
    loader.load_sources([path])
    client.create_payload_index("c", "metadata.source", models.PayloadSchemaType.KEYWORD)
    be_strict(client, unindexed_filtering_retrieve=False, unindexed_filtering_update=False)
    write("a.jsonl", '{"id": "1", "text": "king"}')
    trial = QdrantLoader(embeddings=tiny, client=client, collection_name="c", dry_run=True)
    assert trial.load_sources([path], prune=True).removed == 1
    assert "no payload index of 'loaded_from'" in caplog.text
    caplog.clear()
    assert loader.load_sources([path], prune=True).removed == 1
    assert "no payload index of 'loaded_from'" not in caplog.text
    assert "metadata.loaded_from" in client.get_collection("c").payload_schema


def test_what_cannot_be_asked_is_said_with_what_can(
    client: QdrantClient, tiny: RDREmbeddings
) -> None:
    Collection(client, "c").create(tiny.identity())
    be_strict(client, max_query_limit=20, search_allow_exact=False)
    searcher = PassageSearcher(tiny, client, "c")
    with pytest.raises(CollectionError, match=r"at most 20 results .* but k is 100"):
        searcher.search(["who?"], k=100)
    with pytest.raises(CollectionError, match="takes no exact search"):
        searcher.search(["who?"], k=5, exact=True)


def test_a_collection_that_is_strict_from_its_start_gets_the_index_of_sources(
    client: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = client.create_collection
    strict = models.StrictModeConfig(enabled=True, unindexed_filtering_update=False)
    monkeypatch.setattr(
        client,
        "create_collection",
        lambda *args, **options: create(*args, **options, strict_mode_config=strict),
    )
    Collection(client, "c").create(tiny.identity(), CollectionSettings())
    assert "metadata.source" in client.get_collection("c").payload_schema


def test_a_limited_rate_gets_every_point_however_long_it_takes(
    client: QdrantClient, tiny: RDREmbeddings, clock: SimulatedTime
) -> None:
    """30 writes a minute, of which an upsert takes two for a point, as in Qdrant 1.19."""
    waits: list[float] = []
    stop: Any = clock
    policy = RetryPolicy(120, lambda why, seconds: waits.append(seconds), stop)
    collection = Collection(client, "c", retry=policy)
    collection.create(tiny.identity())
    be_strict(client, write_rate_limit=30)
    collection.info()
    [vector] = tiny.encode_questions(["king"])
    started = clock.now
    for first in range(0, 4519, 56):
        batch = [Point(number, vector, {}) for number in range(first, min(first + 56, 4519))]
        assert collection.points.upsert(batch).too_large == []
    assert collection.points.count() == 4519
    minutes = (clock.now - started) / 60
    assert 4519 / 30 <= minutes <= 1.2 * 4519 / 15
    assert max(waits) <= 120


def test_a_rate_is_told_and_written_to_by_one_thread(
    client: QdrantClient,
    tiny: RDREmbeddings,
    passages: list[Passage],
    caplog: pytest.LogCaptureFixture,
    patient: None,
) -> None:
    Collection(client, "c").create(tiny.identity())
    be_strict(client, write_rate_limit=6)
    reasons: list[str] = []
    writers: set[int] = set()
    after_each_upsert(client, lambda: writers.add(threading.get_ident()))
    loader = QdrantLoader(
        embeddings=tiny,
        client=client,
        collection_name="c",
        on_retry=lambda why, seconds: reasons.append(why),
    )
    assert loader.load(passages).points == 6
    assert len(writers) == 1
    assert "takes at most 6 points a minute" in caplog.text
    assert set(reasons) == {"limit of 6 points a minute reached"}


def test_giving_up_counts_from_the_last_success(
    http: QdrantHTTPServer, client: QdrantClient, clock: SimulatedTime
) -> None:
    stop: Any = clock
    busy = Status(503, {"Retry-After": "8"})
    http.inject(busy, times=5, match="GET /collections")
    with pytest.raises(StoreError, match="503"):
        RetryPolicy(20, stop=stop)(client, client.get_collections)
    http.clear_faults()
    http.inject(busy, times=5, match="GET /collections")

    def succeed(why: str, seconds: float) -> None:
        policy(client, lambda: client.collection_exists("c"))

    policy = RetryPolicy(20, succeed, stop)
    policy(client, client.get_collections)
    assert policy.retries == 5


def test_awaited_searches_wait_for_their_turn(
    client: QdrantClient, http: QdrantHTTPServer, tiny: RDREmbeddings, passages: list[Passage]
) -> None:
    QdrantLoader(embeddings=tiny, client=client, collection_name="c").load(passages)
    refusal = {"status": {"error": "Rate limiting exceeded: Read rate limit exceeded"}}
    http.inject(Status(429, {"retry-after": "1"}, json.dumps(refusal)), match="POST .*/query/batch")

    async def search() -> list[Any]:
        async_client = await connect_async(url=http.url)
        retriever = RDRRetriever(embeddings=tiny, async_client=async_client, collection_name="c")
        found = await retriever.ainvoke("king")
        await async_client.close()
        return found

    assert len(asyncio.run(search())) == 4


def test_awaited_look_ups_keep_to_a_limit_that_is_new(
    client: QdrantClient, http: QdrantHTTPServer, tiny: RDREmbeddings
) -> None:
    collection = Collection(client, "c")
    collection.create(tiny.identity())
    [vector] = tiny.encode_questions(["king"])
    ids = list(range(10))
    collection.points.upsert([Point(one, vector, {}) for one in ids])

    async def look_up() -> list[int]:
        async_client = await connect_async(url=http.url)
        awaited = AsyncCollection(async_client, "c")
        counts = [len(await awaited.retrieve_records(ids))]
        be_strict(client, read_rate_limit=8)
        counts.append(len(await awaited.retrieve_records(ids)))
        await async_client.close()
        return counts

    assert asyncio.run(look_up()) == [10, 10]


def test_awaited_deletions_are_as_large_as_the_rate_allows(
    client: QdrantClient, http: QdrantHTTPServer, tiny: RDREmbeddings, monkeypatch: Any
) -> None:
    collection = Collection(client, "c")
    collection.create(tiny.identity())
    be_strict(client, write_rate_limit=8)
    size = StrictLimits.of(client.get_collection("c")).write_size
    assert size
    assert size < 10
    sizes: list[int] = []

    async def delete(name: str, ids: list[int], wait: bool) -> None:
        sizes.append(len(ids))

    async def delete_all() -> None:
        async_client = await connect_async(url=http.url)
        monkeypatch.setattr(async_client, "delete", delete)
        await AsyncCollection(async_client, "c").delete_points(list(range(10)))
        await async_client.close()

    asyncio.run(delete_all())
    assert sum(sizes) == 10
    assert max(sizes) == size
