"""A load does not believe an acknowledgement: it looks."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.collection import Collection, Point
from rdr_qdrant.collection.points import Points
from rdr_qdrant.ingest import VerificationError, job, verify
from rdr_qdrant.ingest.id_index import IdIndex
from rdr_qdrant.ingest.qdrant_sink import CollectionTarget, QdrantSink
from rdr_qdrant.ingest.verify import LookUps, map_ahead
from rdr_qdrant.readers import open_source
from tests.conftest import COLLECTION
from tests.support.faults import Status
from tests.support.qdrant_http_server import QdrantHTTPServer
from tests.support.upserts import after_each_upsert

PASSAGES = [Passage(str(n), f"river {n}", metadata={"n": n}) for n in range(20)]


def test_every_point_is_counted_and_a_sample_compared(
    client: QdrantClient, tiny: RDREmbeddings
) -> None:
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION)
    first = loader.load(PASSAGES)
    assert (first.verified, first.compared) == (20, 20)
    second = loader.load([*PASSAGES[:5], PASSAGES[0]])
    assert (second.unchanged, second.verified, second.compared, second.points) == (6, 5, 5, 20)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c.delete(COLLECTION, [3]), r"confirmed them: 3\."),
        (
            lambda c: c.set_payload(COLLECTION, {"page_content": "else"}, points=[3]),
            "Point 3 .* has another payload",
        ),
        (
            lambda c: c.update_vectors(COLLECTION, [models.PointVectors(id=3, vector=[0.5] * 32)]),
            "Point 3 .* has another vector",
        ),
    ],
    ids=["missing", "payload", "vector"],
)
def test_what_is_not_as_it_was_sent_is_a_failure(
    client: QdrantClient, tiny: RDREmbeddings, damage: Callable[[Any], Any], message: str
) -> None:
    after_each_upsert(client, lambda: damage(client))
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION)
    with pytest.raises(VerificationError, match=message):
        loader.load(PASSAGES)


def test_points_are_looked_up_in_threads_and_retries_told_in_the_caller_s(
    tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "IDS_PER_REQUEST", 3)
    existing_ids = Points.existing_ids
    first_two = [threading.Barrier(2, action=lambda: inject())] * 2

    def inject() -> None:
        server.inject(Status(503), times=2, match="POST /collections/c/points")

    def beside_another(points: Points, ids: list[Any]) -> set[Any]:
        if first_two:
            first_two.pop().wait(60)  # for ever, if they took turns
        return existing_ids(points, ids)

    monkeypatch.setattr(Points, "existing_ids", beside_another)
    told_in: list[int] = []
    with QdrantHTTPServer() as server, closing(connect(url=server.url)) as client:
        loader = QdrantLoader(
            embeddings=tiny,
            client=client,
            collection_name="c",
            on_retry=lambda why, seconds: told_in.append(threading.get_ident()),
        )
        report = loader.load(PASSAGES)
    assert (report.verified, report.retries) == (20, 2)
    assert told_in == [threading.get_ident()] * 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_does_not_wait_for_look_ups_that_are_retried(
    tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    monkeypatch.setattr(verify, "IDS_PER_REQUEST", 3)
    existing_ids = Points.existing_ids

    def without_server(points: Points, ids: list[Any]) -> set[Any]:
        server.inject(Status(503), times=1000, match="POST /collections/c/points")
        return existing_ids(points, ids)

    def interrupt(why: str, seconds: float) -> None:
        raise error

    monkeypatch.setattr(Points, "existing_ids", without_server)
    with QdrantHTTPServer() as server, closing(connect(url=server.url)) as client:
        loader = QdrantLoader(
            embeddings=tiny, client=client, collection_name="c", on_retry=interrupt
        )
        started = time.monotonic()
        with pytest.raises(error):
            loader.load(PASSAGES)
    assert time.monotonic() - started < 60  # ten minutes, if they were waited for


def test_results_come_in_order_and_an_error_ends_the_rest() -> None:
    def double(number: int) -> int:
        done.append(number)
        if number == 50:
            raise ZeroDivisionError
        return 2 * number

    for threads in (0, 3):
        done: list[int] = []
        found: list[int] = []
        with pytest.raises(ZeroDivisionError):
            found.extend(map_ahead(double, range(1000), threads, lambda future: None, Event()))
        assert found == list(range(0, 100, 2))
        assert len(done) < 70
        waited: list[object] = []
        found = list(map_ahead(double, range(10), threads, waited.append, Event()))
        assert found == list(range(0, 20, 2))
        assert len(waited) == 10


def test_what_qdrant_stores_in_its_own_way_is_the_same(
    client: QdrantClient, tiny: RDREmbeddings
) -> None:
    metadata = {"big": 2**63, "odd": 0.1 + 0.2, "float": 1.0, "deep": [{"b": 1, "a": [None, True]}]}
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION)
    passages = [Passage("1", "king", metadata=metadata)]
    assert loader.load(passages).compared == 1
    again = loader.load(passages)
    assert (again.unchanged, again.updated) == (1, 0)


def test_the_last_bit_of_a_float_is_no_change(client: QdrantClient, tiny: RDREmbeddings) -> None:
    floats = [random.Random(n).uniform(-1e3, 1e3) for n in range(200)]
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION)
    assert loader.load([Passage("1", "king", metadata={"floats": floats})]).compared == 1
    assert loader.load([Passage("1", "king", metadata={"floats": floats})]).unchanged == 1
    changed = [floats[0] * (1 + 1e-12), *floats[1:]]
    assert loader.load([Passage("1", "king", metadata={"floats": changed})]).updated == 1


def test_the_deepest_row_that_is_read_can_be_stored_and_read_back(
    client: QdrantClient, tiny: RDREmbeddings, tmp_path: Path
) -> None:
    path = tmp_path / "deep.jsonl"
    odd = '"zero \\u0000": "\\u0000", "": {"": ""}, "a.b[]": 1'
    deep = "[" * 99 + "]" * 99
    path.write_text(f'{{"text": "king", {odd}, "x": {deep}}}\n')
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION)
    assert loader.load_sources([open_source(path)]).compared == 1
    assert loader.load_sources([open_source(path)]).unchanged == 1


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (0, False), (1, "1"), (1, 1.0), (None, ""), ([1], [1, 1])]
)
def test_other_values_are_a_change(
    client: QdrantClient, tiny: RDREmbeddings, one: object, other: object
) -> None:
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION)
    loader.load([Passage("1", "king", metadata={"a": one})])
    assert loader.load([Passage("1", "king", metadata={"a": other})]).updated == 1
    assert loader.load([Passage("1", "king", metadata={"a": other})]).unchanged == 1


class TestLookingUpAhead:
    """What is stored already is looked up while the last points are being written."""

    @pytest.fixture
    def server(self) -> Iterator[QdrantHTTPServer]:
        with QdrantHTTPServer() as server:
            yield server

    @pytest.fixture
    def client(self, server: QdrantHTTPServer) -> Iterator[QdrantClient]:
        with closing(connect(url=server.url)) as client:
            yield client

    @pytest.fixture
    def collection(self, client: QdrantClient, tiny: RDREmbeddings) -> Collection:
        """The first 12 of the passages are stored."""
        loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION)
        loader.load(PASSAGES[:12])
        return Collection(client, COLLECTION)

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
        """The ids of each request, five at most."""
        requests: list[list[Any]] = []
        existing_ids = Points.existing_ids

        def noted(points: Points, ids: list[Any]) -> set[Any]:
            requests.append(list(ids))
            return existing_ids(points, ids)

        monkeypatch.setattr(Points, "existing_ids", noted)
        monkeypatch.setattr(verify, "IDS_PER_REQUEST", 5)
        return requests

    def test_only_absent_points_are_looked_up_again(
        self, collection: Collection, asked: list[list[Any]], client: QdrantClient
    ) -> None:
        with closing(IdIndex()) as ids:
            ids.add_many(range(20))
            look_ups = LookUps(ids, collection)
            while look_ups.look_ahead():
                pass
            ids.reject(15)  # it was being encoded
            sent = [Point(n, np.full(32, 0.5, np.float32), {}) for n in range(12, 20) if n != 15]
            collection.points.upsert(sent)
            del asked[:]
            assert finished(look_ups, collection) == 19
        assert sorted(chain(*asked)) == [point.id for point in sent]

    @pytest.mark.parametrize("ahead", range(6))
    def test_what_is_missing_at_the_end_is_named(
        self, collection: Collection, asked: list[list[Any]], ahead: int
    ) -> None:
        with closing(IdIndex()) as ids:
            ids.add_many([*range(12), 77])
            look_ups = LookUps(ids, collection)
            for _ in range(ahead):
                look_ups.look_ahead()
            with pytest.raises(VerificationError, match=r"confirmed them: 77\."):
                finished(look_ups, collection)

    def test_a_server_that_is_away_meanwhile_is_asked_again_at_the_end(
        self, collection: Collection, asked: list[list[Any]], server: QdrantHTTPServer
    ) -> None:
        with closing(IdIndex()) as ids:
            ids.add_many(range(12))
            look_ups = LookUps(ids, collection)
            assert look_ups.look_ahead()
            server.inject(Status(503), match=f"POST /collections/{COLLECTION}/points")
            assert not look_ups.look_ahead()
            assert finished(look_ups, collection) == 12
        assert [len(ids) for ids in asked] == [5, 5, 5, 2]

    def test_a_load_does_so(
        self,
        client: QdrantClient,
        tiny: RDREmbeddings,
        asked: list[list[Any]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(job, "IDS_PER_REQUEST", 5)
        encode_batches = RDREmbeddings.encode_batches
        looked_up = threading.Event()
        existing_ids = Points.existing_ids

        def noted(points: Points, ids: list[Any]) -> set[Any]:
            looked_up.set()
            return existing_ids(points, ids)

        def last_four_wait(embeddings: RDREmbeddings, tokens: Any) -> Iterator[Any]:
            for batch in encode_batches(embeddings, tokens):
                if len(batch.positions) == 4:
                    assert looked_up.wait(60)  # for ever, if they were waited for
                yield batch

        monkeypatch.setattr(Points, "existing_ids", noted)
        monkeypatch.setattr(RDREmbeddings, "encode_batches", last_four_wait)
        loader = QdrantLoader(embeddings=tiny, client=client, collection_name="c", batch_size=8)
        report = loader.load(PASSAGES)
        assert (report.uploaded, report.verified, report.retries) == (20, 20, 0)

    @pytest.mark.parametrize(
        ("exists", "limits", "expected"),
        [
            (False, None, True),
            (True, None, False),  # a point that is there may be that of before
            (False, models.StrictModeConfig(enabled=True, read_rate_limit=1000), False),
        ],
    )
    def test_only_in_a_new_collection_and_without_a_limit_of_reads(
        self,
        tiny: RDREmbeddings,
        exists: bool,
        limits: models.StrictModeConfig | None,
        expected: bool,
    ) -> None:
        with QdrantHTTPServer(strict=limits) as server, closing(connect(url=server.url)) as client:
            if exists:
                Collection(client, "c").create(tiny.identity())
            target = CollectionTarget(client=client, collection_name="c")
            sink = QdrantSink(target=target, encoder=tiny)
            sink.open()
            sink.prepare()
            with closing(IdIndex()) as ids:
                ids.add_many(range(20))
                assert sink.look_ahead(ids) == expected


def finished(look_ups: LookUps, collection: Collection) -> int:
    def wait(answer: Future[Any]) -> None:
        answer.exception(timeout=60)

    return look_ups.finish(collection, 2, wait, Event())
