"""Ends before the end: what is in flight is finished, and the same load goes on."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import LoadReport, Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.encoding import EncodedBatch
from rdr_qdrant.encoding.tokenizer import Tokens
from rdr_qdrant.readers import open_source
from tests.conftest import COLLECTION
from tests.support.faults import Restart
from tests.support.qdrant_http_server import QdrantHTTPServer

PASSAGES = [Passage(str(n), f"river {n}") for n in range(200)]


def test_a_stopped_load_finishes_its_batch_and_goes_on_the_next_time(
    client: QdrantClient, tiny: RDREmbeddings
) -> None:
    def loader(stop_after: int) -> QdrantLoader:
        def on_progress(report: LoadReport) -> None:
            if report.read >= stop_after:
                made.stop()

        made = QdrantLoader(
            embeddings=tiny,
            client=client,
            collection_name=COLLECTION,
            batch_size=2,
            on_progress=on_progress,
        )
        return made

    first = loader(stop_after=4).load(PASSAGES)
    assert first.interrupted
    assert first.read == first.uploaded == first.points
    assert (4 <= first.read < 200, first.verified) == (True, 0)
    report = loader(stop_after=999).load(PASSAGES)
    assert not report.interrupted
    assert (report.unchanged, report.uploaded) == (first.read, 200 - first.read)
    assert report.verified == report.points == 200


def test_a_loader_that_was_stopped_removes_nothing(
    client: QdrantClient, tiny: RDREmbeddings, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"id": "{n}", "text": "river {n}"}}\n' for n in range(9)))
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION, batch_size=3)
    loader.load_sources([open_source(path)], prune=True)
    loader.on_progress = lambda report: loader.stop()
    report = loader.load_sources([open_source(path)], prune=True)
    assert report.interrupted
    assert (report.removed, report.points) == (None, 9)


def test_waiting_for_input_may_be_broken_off(client: QdrantClient, tiny: RDREmbeddings) -> None:
    """What a signal handler does: it asks, and breaks off what only waits."""

    def endless() -> Iterator[Passage]:
        yield from PASSAGES[:4]
        waiting = loader.stop()
        assert waiting
        raise KeyboardInterrupt

    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION, batch_size=3)
    report = loader.load(endless())
    assert report.interrupted
    assert report.uploaded == report.points


def test_an_interrupt_that_nobody_asked_for_is_passed_on(
    client: QdrantClient, tiny: RDREmbeddings
) -> None:
    def interrupted() -> Iterator[Passage]:
        yield PASSAGES[0]
        raise KeyboardInterrupt

    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION)
    with pytest.raises(KeyboardInterrupt):
        loader.load(interrupted())


def test_stopping_does_not_wait_for_a_server_that_is_away(tiny: RDREmbeddings) -> None:
    with QdrantHTTPServer() as server:
        client = connect(url=server.url)
        loader = QdrantLoader(
            embeddings=tiny,
            client=client,
            collection_name="c",
            batch_size=2,
            on_retry=lambda why, seconds: threading.Timer(0.05, loader.stop).start(),
        )
        loader.on_progress = lambda report: server.inject(Restart(30))
        started = time.monotonic()
        report = loader.load(PASSAGES)
        assert report.interrupted
        assert (0 < report.uploaded < 200, report.points) == (True, None)
        assert time.monotonic() - started < 10
        client.close()


def test_a_failed_encoder_leaves_what_was_written(
    client: QdrantClient, tiny: RDREmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = RDREmbeddings.encode_batches
    windows = itertools.count(1)

    def fails_at_three(self: RDREmbeddings, tokens: Future[Tokens]) -> Iterator[EncodedBatch]:
        if next(windows) == 3:
            raise RuntimeError("the device is gone")
        return encode(self, tokens)

    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION, batch_size=2)
    with monkeypatch.context() as patch:
        patch.setattr(RDREmbeddings, "encode_batches", fails_at_three)
        with pytest.raises(RuntimeError):
            loader.load(PASSAGES)
    there = client.count(COLLECTION).count
    assert there <= 4
    report = loader.load(PASSAGES)
    assert (report.unchanged, report.uploaded, report.verified) == (there, 200 - there, 200)
