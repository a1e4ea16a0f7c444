from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from qdrant_client import QdrantClient

from rdr_qdrant import LoadReport, Passage, QdrantLoader, RDREmbeddings, ShardEncoder
from rdr_qdrant.client.capabilities import SERVER_WRITE_STREAMS
from rdr_qdrant.encoding import EncodedBatch
from rdr_qdrant.encoding.tokenizer import Tokens
from rdr_qdrant.errors import CollectionError, SourceError
from rdr_qdrant.ingest.thread_executor import BATCHES_PER_WRITER, TOKENIZED_BATCHES
from rdr_qdrant.passages import point_id
from rdr_qdrant.readers import Reject, open_source
from tests.conftest import COLLECTION
from tests.export.conftest import passages_of

Load = Callable[..., LoadReport]


@pytest.fixture
def load(client: QdrantClient, tiny: RDREmbeddings) -> Load:
    def load(passages: object, **options: object) -> LoadReport:
        loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION, **options)
        return loader.load(passages)

    return load


def everything(client: QdrantClient) -> dict[object, object]:
    points, _ = client.scroll(COLLECTION, limit=1000, with_vectors=True)
    return {point.id: (point.payload, point.vector) for point in points}


def test_every_passage_becomes_the_point_of_its_id(
    load: Load, client: QdrantClient, passages: list[Passage], tiny: RDREmbeddings
) -> None:
    report = load(passages, batch_size=4)
    assert (report.read, report.uploaded, report.unchanged, report.points) == (6, 6, 0, 6)
    stored = everything(client)
    assert set(stored) == {point_id(passage.id) for passage in passages}
    for passage, vector in zip(passages, tiny.encode_passages(passages), strict=True):
        payload, found = stored[point_id(passage.id)]
        assert payload["page_content"] == passage.text
        assert payload["metadata"]["title"] == passage.title
        assert np.abs(np.array(found) - vector).max() < 1e-6


def test_the_garbage_collector_does_little_during_a_load(
    load: Load, passages: list[Passage]
) -> None:
    """What is older than the load is skipped; afterwards all is as the caller had it."""
    skipped, thresholds = [], []

    def look(report: object) -> None:
        skipped.append(gc.get_freeze_count())
        thresholds.append(gc.get_threshold()[0])

    before = gc.get_threshold()
    try:
        for given, during in ((700, 50_000), (90_000, 90_000), (0, 0)):
            gc.set_threshold(given, 11, 12)
            load(passages, on_progress=look)
            assert set(thresholds) == {during}
            assert gc.get_threshold() == (given, 11, 12)
            thresholds.clear()
    finally:
        gc.set_threshold(*before)
    assert min(skipped) > 10_000
    assert gc.get_freeze_count() == 0
    gc.freeze()
    try:
        load(passages)
        assert gc.get_freeze_count() > 10_000  # what the caller has frozen stays so
    finally:
        gc.unfreeze()


def test_loading_twice_leaves_the_same_points_and_encodes_nothing(
    load: Load, client: QdrantClient, passages: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(passages)
    before = everything(client)
    monkeypatch.delattr(RDREmbeddings, "encode_batches")
    report = load(passages)
    assert (report.read, report.uploaded, report.unchanged, report.points) == (6, 0, 6, 6)
    assert everything(client) == before


def test_changed_text_is_encoded_anew_and_replaces(load: Load, client: QdrantClient) -> None:
    load([Passage("1", "the river"), Passage("2", "the king")])
    old = everything(client)
    report = load([Passage("1", "the old river"), Passage("2", "the king")])
    assert (report.uploaded, report.unchanged, report.points) == (1, 1, 2)
    new = everything(client)
    assert new[1][0]["page_content"] == "the old river"
    assert new[1][1] != old[1][1]
    assert new[2] == old[2]


def test_changed_metadata_is_written_without_encoding(
    load: Load, client: QdrantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    load([Passage("1", "the river", metadata={"year": 1999, "gone": True})])
    old = everything(client)
    monkeypatch.delattr(RDREmbeddings, "encode_batches")
    report = load([Passage("1", "the river", metadata={"year": 2000})])
    assert (report.uploaded, report.updated, report.unchanged) == (0, 1, 0)
    payload, vector = everything(client)[1]
    assert payload["metadata"] == {"id": "1", "title": "", "year": 2000}
    assert payload["page_content"] == "the river"
    assert vector == old[1][1]


def test_documents_of_langchain_are_loaded(load: Load, client: QdrantClient) -> None:
    report = load(
        [
            Document(page_content="the king", metadata={"title": "king", "page": 3}, id="d1"),
            Document(page_content="the city", metadata={"id": 12}),
            Document(page_content="  "),
        ]
    )
    assert (report.uploaded, report.rejected, report.points) == (2, 1, 2)
    payload, _ = everything(client)[point_id("d1")]
    assert payload["metadata"] == {"id": "d1", "title": "king", "page": 3}
    assert 12 in everything(client)


def test_an_id_that_stands_twice_with_different_content_is_set_aside(load: Load) -> None:
    rejects: list[Reject] = []
    report = load(
        [Passage("1", "the river"), Passage("1", "the king"), Passage("1", "the river")],
        on_reject=rejects.append,
    )
    assert (report.read, report.uploaded, report.unchanged, report.rejected) == (3, 1, 1, 1)
    assert "stands twice" in rejects[0].reason


def test_the_iterable_is_read_lazily_in_batches(load: Load, client: QdrantClient) -> None:
    read_ahead: list[int] = []

    def stream() -> Iterator[Passage]:
        for number in range(200):
            there = client.count(COLLECTION).count if client.collection_exists(COLLECTION) else 0
            read_ahead.append(number - there)
            yield Passage(str(number), f"the river {number}")

    assert load(stream(), batch_size=2).points == 200
    batches = (
        TOKENIZED_BATCHES + BATCHES_PER_WRITER * SERVER_WRITE_STREAMS + 2
    )  # and one at each end
    assert max(read_ahead) <= 2 * batches


def test_progress_is_told_after_each_batch(load: Load, passages: list[Passage]) -> None:
    seen: list[LoadReport] = []
    load(passages, batch_size=4, on_progress=seen.append)
    assert [report.read for report in seen] == sorted({report.read for report in seen})
    assert seen[-1].read == 6
    assert [report.read + report.in_hand for report in seen] <= [6] * len(seen)
    assert seen[-1].in_hand == 0


def test_cut_passages_are_counted(load: Load) -> None:
    assert load([Passage("1", "river " * 300), Passage("2", "river")]).truncated == 1


def test_nothing_to_load_makes_no_collection(load: Load, client: QdrantClient) -> None:
    assert load([]).read == 0
    assert not client.collection_exists(COLLECTION)


def test_a_collection_of_another_pair_is_refused_and_left_alone(
    load: Load, client: QdrantClient, other: RDREmbeddings, passages: list[Passage]
) -> None:
    load(passages)
    before = everything(client)
    loader = QdrantLoader(embeddings=other, client=client, collection_name=COLLECTION)
    with pytest.raises(CollectionError, match="was made with"):
        loader.load([Passage("9", "new")])
    assert everything(client) == before


def test_a_pair_without_its_question_encoder_makes_no_collection(
    client: QdrantClient, tiny_pair: tuple[str, str]
) -> None:
    from rdr_qdrant.errors import ModelError

    half = RDREmbeddings(context_encoder=tiny_pair[0], question_encoder="./missing")
    with pytest.raises(ModelError):
        QdrantLoader(embeddings=half, client=client, collection_name=COLLECTION).load(
            [Passage("1", "x")]
        )
    assert not client.collection_exists(COLLECTION)


def test_sources_are_read_split_and_prefixed(
    client: QdrantClient, tiny: RDREmbeddings, write: Callable[..., Path]
) -> None:
    rows = [{"id": "x", "text": "a b c d e", "title": "t"}, {"id": "y", "text": ""}]
    path = write("f.jsonl", "\n".join(map(json.dumps, rows)))
    rejects: list[Reject] = []
    loader = QdrantLoader(
        embeddings=tiny, client=client, collection_name=COLLECTION, on_reject=rejects.append
    )
    report = loader.load_sources([open_source(path)], split=2, id_prefix="p-")
    assert (report.read, report.uploaded, report.rejected) == (4, 3, 1)
    ids = {payload["metadata"]["id"] for payload, _ in everything(client).values()}
    assert ids == {"p-x#1", "p-x#2", "p-x#3"}
    assert [(reject.line, reject.reason) for reject in rejects] == [(2, "text is empty")]


def test_a_source_without_a_usable_row_is_an_error_and_writes_nothing(
    client: QdrantClient, tiny: RDREmbeddings, write: Callable[..., Path]
) -> None:
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION)
    with pytest.raises(SourceError, match="holds no passages"):
        loader.load_sources([open_source(write("h.tsv", "id\ttext\ttitle\n"))])
    with pytest.raises(SourceError, match="None of the 2 rows"):
        loader.load_sources([open_source(write("b.jsonl", "no\njson\n"))])
    assert not client.collection_exists(COLLECTION)


def test_a_passage_that_is_not_unicode_is_set_aside(load: Load) -> None:
    rejects: list[Reject] = []
    report = load([Passage("1", "half \ud800"), Passage("2", "whole")], on_reject=rejects.append)
    assert (report.uploaded, report.rejected) == (1, 1)
    assert rejects[0].reason == "not valid Unicode"


def test_points_of_another_source_that_are_taken_over_are_counted(load: Load) -> None:
    load([Passage("1", "the river", metadata={"source": "a"}), Passage("2", "the king")])
    report = load(
        [
            Passage("1", "the city", metadata={"source": "b"}),
            Passage("2", "the king"),
            Passage("3", "the people", metadata={"source": "b"}),
        ]
    )
    assert (report.uploaded, report.unchanged, report.taken_over) == (2, 1, 1)
    moved = [Passage("1", "the city", metadata={"source": "c"})]
    assert (load(moved).updated, load(moved).taken_over) == (1, 0)


@pytest.mark.parametrize(
    ("given", "sizes"),
    [(None, [256, 512, 700, 700, 132]), (900, [900, 900, 500])],
    ids=["auto", "fixed"],
)
def test_batches_are_as_large_as_suits_the_encoder(
    tiny: RDREmbeddings, client: QdrantClient, given: int | None, sizes: list[int]
) -> None:
    """The first one is read before the encoder is known; the encoder soon has something to do."""
    found: list[int] = []

    class OnDevice(RDREmbeddings):
        def passages_at_a_time(self) -> int:
            return 700

        def tokenize_passages(self, passages: Sequence[Passage]) -> Future[Tokens]:
            found.append(len(passages))
            return super().tokenize_passages(passages)

    assert tiny.passages_at_a_time() == 256
    pair = OnDevice(context_encoder=tiny.context_encoder, question_encoder=tiny.question_encoder)
    loader = QdrantLoader(
        embeddings=pair, client=client, collection_name=f"{COLLECTION}-batches", batch_size=given
    )
    assert loader.load(Passage(str(n), "river") for n in range(2300)).uploaded == 2300
    assert found == sizes


def test_beside_a_gpu_a_batch_is_begun_before_the_last_one_is_done(
    tiny: RDREmbeddings, client: QdrantClient, tmp_path: Path
) -> None:
    """Files are written in the order of the passages none the less."""
    meanwhile = threading.Event()
    running: list[int] = []
    most: list[int] = []

    class OnGPU(RDREmbeddings):
        def encoding_threads(self) -> int:
            return 2

        def encode_batches(self, tokens: Future[Tokens]) -> Iterator[EncodedBatch]:
            running.append(1)
            most.append(len(running))
            if len(running) == 2:
                meanwhile.set()
            assert meanwhile.wait(60)  # for ever, if batches took turns
            yield from super().encode_batches(tokens)
            running.pop()

    pair = OnGPU(context_encoder=tiny.context_encoder, question_encoder=tiny.question_encoder)
    passages = [Passage(str(n), f"river {n}") for n in range(60)]
    name = f"{COLLECTION}-overlap"
    loader = QdrantLoader(embeddings=pair, client=client, collection_name=name, batch_size=10)
    report = loader.load(passages)
    assert (report.uploaded, report.verified, max(most)) == (60, 60, 2)
    most.clear()
    meanwhile.clear()
    source = tmp_path / "a.jsonl"
    source.write_text("".join(f'{{"id": "{n}", "text": "river {n}"}}\n' for n in range(60)))
    encoder = ShardEncoder(embeddings=pair, folder=tmp_path / "shards", batch_size=10)
    assert encoder.encode_sources([open_source(source)]).encoded == 60
    assert max(most) == 2
    written = [row["id"] for row in passages_of(tmp_path / "shards")]
    assert written == [str(n) for n in range(60)]


def test_a_dry_run_into_no_collection_loads_no_encoder(
    client: QdrantClient, tmp_path: Path, passages: list[Passage]
) -> None:
    nowhere = {side: str(tmp_path / side) for side in ("context_encoder", "question_encoder")}
    loader = QdrantLoader(
        embeddings=RDREmbeddings(**nowhere),
        client=client,
        collection_name=f"{COLLECTION}-none",
        dry_run=True,
    )
    assert loader.load(passages).uploaded == len(passages)
