"""A load does not believe an acknowledgement: it looks."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.collection.points import Points
from rdr_qdrant.ingest import VerificationError, verify
from rdr_qdrant.ingest.verify import map_ahead
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
