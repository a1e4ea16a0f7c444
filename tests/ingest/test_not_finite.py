"""Vectors that are no numbers are stored on no path; all others are, bit for bit."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from rdr_qdrant import (
    Passage,
    QdrantLoader,
    RDREmbeddings,
    RDRVectorStore,
    ShardEncoder,
    ShardFolder,
    connect,
)
from rdr_qdrant.collection import Collection, CollectionSettings, upload
from rdr_qdrant.collection.migrate import copy_collection
from rdr_qdrant.encoding import EncodedBatch, Encoder
from rdr_qdrant.errors import CollectionError, ModelError, SourceError, UsageError
from rdr_qdrant.export import EncodeReport
from rdr_qdrant.readers import Reject, open_source
from rdr_qdrant.vectorstore import DocumentsError
from tests.conftest import COLLECTION
from tests.support.fixed_encoder import DIMENSION, IDENTITY, FixedEncoder, passages_for
from tests.support.qdrant_grpc_server import QdrantGRPCServer
from tests.support.qdrant_http_server import QdrantHTTPServer

LOADS = int(os.environ.get("RDR_TEST_LOADS", "8"))
"""RDR_TEST_LOADS=1000 runs the property test as often."""

ODD = [np.nan, np.inf, -np.inf, 1e39, -1e39, -0.0, 1e-45, 1.1754942e-38, 3.4028235e38, 65520.0]

numbers = st.sampled_from(ODD) | st.floats(width=32) | st.floats(-1, 1, width=32)
vectors_of_a_load = st.lists(
    st.lists(numbers, min_size=DIMENSION, max_size=DIMENSION), min_size=1, max_size=7
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantClient]:
    """The engine behind all three ways, which stores whatever it is sent."""
    client = connect(path=tmp_path_factory.mktemp("engine"))
    yield client
    client.close()


@pytest.fixture(scope="module", params=["folder", "rest", "grpc"])
def way(request: pytest.FixtureRequest, stored: QdrantClient) -> Iterator[QdrantClient]:
    with ExitStack() as stack:
        if request.param == "folder":
            yield stored
        elif request.param == "rest":
            server = stack.enter_context(QdrantHTTPServer(stored))
            yield connect(server.url)
        else:
            server = stack.enter_context(QdrantHTTPServer(stored))
            grpc = stack.enter_context(QdrantGRPCServer(stored))
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(upload, "POINTS_WORTH_GRPC", 1)
            yield connect(server.url, grpc_port=grpc.port)
            assert grpc.requests["GRPC /Points/Upsert"]


@settings(
    max_examples=LOADS, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=vectors_of_a_load, half=st.booleans())
def test_what_is_not_finite_is_never_stored_and_all_else_is_bit_for_bit(
    way: QdrantClient, stored: QdrantClient, rows: list[list[float]], half: bool
) -> None:
    kind = "float16" if half else "float32"
    name = f"{COLLECTION}-{kind}"
    if stored.collection_exists(name):
        stored.delete(name, models.Filter())
    else:
        Collection(stored, name).create(IDENTITY, CollectionSettings(datatype=kind))
    rejects: list[Reject] = []
    loader = QdrantLoader(
        embeddings=FixedEncoder(np.array(rows)),
        client=way,
        collection_name=name,
        batch_size=3,
        on_reject=rejects.append,
    )
    with np.errstate(over="ignore"):
        sent = np.array(rows).astype(np.float32)
        finite = np.isfinite(sent.astype(kind)).all(axis=1)
    try:
        loader.load(passages_for(rows))
    except (SourceError, ModelError):
        assert not finite[:3].any() or not finite[3:6].any() or not finite[6:].any()
    found, _ = stored.scroll(name, limit=100, with_vectors=True)
    kept = {int(point.id): np.array(point.vector, dtype=np.float32) for point in found}
    assert {int(reject.row["id"]) for reject in rejects} <= set(np.flatnonzero(~finite))
    for number, vector in kept.items():
        assert finite[number]
        expected = sent[number].astype(kind).astype(np.float32)
        assert vector.tobytes() == expected.tobytes(), (vector, expected)


@pytest.fixture
def vectors() -> np.ndarray:
    """Six vectors, of which 1 holds infinity and 4 NaN."""
    found = np.arange(24, dtype=np.float32).reshape(6, 4) + 1
    found[1, 2], found[4, 0] = np.inf, np.nan
    return found


def test_the_passages_are_rejected_by_name_and_the_others_verified(
    client: QdrantClient, vectors: np.ndarray
) -> None:
    rejects: list[Reject] = []
    loader = QdrantLoader(
        embeddings=FixedEncoder(vectors),
        client=client,
        collection_name=COLLECTION,
        on_reject=rejects.append,
    )
    report = loader.load(passages_for(vectors))
    assert (report.read, report.uploaded, report.rejected, report.verified) == (6, 4, 2, 4)
    assert {reject.row["id"] for reject in rejects} == {"1", "4"}
    assert all("NaN or infinity: try --precision fp32" in one.reason for one in rejects)
    again = QdrantLoader(
        embeddings=FixedEncoder(vectors), client=client, collection_name=COLLECTION
    )
    report = again.load(passages_for(vectors))
    assert (report.unchanged, report.rejected, report.verified) == (4, 2, 4)


def test_a_batch_without_any_number_ends_the_load_and_doubts_the_encoder(
    client: QdrantClient, vectors: np.ndarray
) -> None:
    vectors[4:] = np.nan
    loader = QdrantLoader(
        embeddings=FixedEncoder(vectors), client=client, collection_name=COLLECTION, batch_size=2
    )
    expected = r"All 2 vectors of a batch.*'4'.*fixed-context.*precision \(fp16\).*device"
    with pytest.raises(ModelError, match=expected) as caught:
        loader.load(passages_for(vectors))
    assert "\n" not in str(caught.value)
    assert client.count(COLLECTION).count == 3


def test_one_passage_alone_is_rejected_with_its_reason(client: QdrantClient) -> None:
    encoder = FixedEncoder(np.full((1, 4), np.inf))
    loader = QdrantLoader(embeddings=encoder, client=client, collection_name=COLLECTION)
    with pytest.raises(SourceError, match="None of the 1 passages.*NaN or infinity"):
        loader.load(passages_for([0]))


def test_the_vector_store_names_the_documents(
    client: QdrantClient, overflowing: RDREmbeddings
) -> None:
    store = RDRVectorStore(client, COLLECTION, overflowing)
    with pytest.raises(DocumentsError, match=r"b.*NaN or infinity"):
        store.add_texts(["the river", "music", "a king"], ids=["a", "b", "c"])
    assert sorted(found.id for found in store.get_by_ids(["a", "b", "c"])) == ["a", "c"]
    with pytest.raises(ModelError, match="question encoder.*not finite"):
        store.similarity_search("what music?")


@pytest.fixture
def source(write: Callable[..., Path]) -> Path:
    return write("six.jsonl", "".join(f'{{"id": "{n}", "text": "text {n}"}}\n' for n in range(6)))


@pytest.mark.parametrize("damaged", [False, True])
def test_a_folder_of_encoded_passages_is_resumed_rebuilt_and_loaded_without_them(
    source: Path, vectors: np.ndarray, tmp_path: Path, *, damaged: bool
) -> None:
    def encode() -> tuple[object, list[Reject]]:
        rejects: list[Reject] = []
        encoder = ShardEncoder(
            embeddings=FixedEncoder(vectors),
            folder=tmp_path / "shards",
            shard_size=4,
            batch_size=3,
            on_reject=rejects.append,
        )
        return encoder.encode_sources([open_source(source)]), rejects

    report, rejects = encode()
    assert (report.encoded, report.rejected, report.passages) == (4, 2, 4)
    if damaged:
        (tmp_path / "shards" / "shard-00000.parquet").write_bytes(b"")
    report, again = encode()
    assert (report.encoded, report.kept) == ((3, 1) if damaged else (0, 4))
    assert {one.row["id"] for one in again} == {one.row["id"] for one in rejects} == {"1", "4"}
    folder = ShardFolder(tmp_path / "shards")
    assert folder.manifest.missing == 2
    client = connect(path=tmp_path / "data")
    loader = QdrantLoader(embeddings=folder.vectors(), client=client, collection_name=COLLECTION)
    assert loader.load_sources(folder.sources()).uploaded == 4
    client.close()


def test_a_number_too_large_for_half_floats_is_rejected_where_those_are_stored(
    source: Path, vectors: np.ndarray, tmp_path: Path
) -> None:
    vectors[1, 2], vectors[4, 0] = 65519.0, 65520.0
    for folder, kind, encoded in (("half", "float16", 5), ("full", "float32", 6)):
        rejects: list[Reject] = []
        encoder = ShardEncoder(
            embeddings=FixedEncoder(vectors),
            folder=tmp_path / folder,
            vectors=kind,
            on_reject=rejects.append,
        )
        assert encoder.encode_sources([open_source(source)]).encoded == encoded
        assert [one.row["id"] for one in rejects] == ["4"] * (6 - encoded)
        assert all("beyond 65,504, which float16 cannot hold" in one.reason for one in rejects)


def test_a_source_of_which_nothing_is_encoded_has_no_part_in_the_folder(
    source: Path, write: Callable[..., Path], vectors: np.ndarray, tmp_path: Path
) -> None:
    other = write("other.jsonl", '{"id": "6", "text": "a"}\n')
    all_vectors = np.vstack([vectors, np.full((1, 4), np.nan)])
    encoder = ShardEncoder(
        embeddings=FixedEncoder(all_vectors), folder=tmp_path / "shards", batch_size=7
    )
    encoder.encode_sources([open_source(source), open_source(other)])
    folder = ShardFolder(tmp_path / "shards")
    assert [(one.name, one.size) for one in folder.sources()] == [(str(source), 4)]


def test_a_folder_that_holds_infinity_is_loaded_without_it(
    source: Path,
    vectors: np.ndarray,
    tmp_path: Path,
    client: QdrantClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One from before such vectors were refused."""
    with monkeypatch.context() as patch:
        patch.setattr(np, "isfinite", lambda array: np.ones(array.shape, bool))
        ShardEncoder(embeddings=FixedEncoder(vectors), folder=tmp_path / "shards").encode_sources(
            [open_source(source)]
        )
    folder = ShardFolder(tmp_path / "shards")
    loader = QdrantLoader(embeddings=folder.vectors(), client=client, collection_name=COLLECTION)
    report = loader.load_sources(folder.sources())
    assert (report.uploaded, report.rejected) == (4, 2)


def test_a_copy_names_the_point_and_writes_none_of_its_page(tmp_path: Path) -> None:
    source, target = connect(path=":memory:"), connect(path=tmp_path / "two")
    Collection(source, "c").create(IDENTITY)
    for number, value in enumerate([1.0, np.inf]):
        source.upsert("c", [models.PointStruct(id=number, vector=[value] * 4)])
    with pytest.raises(CollectionError, match="Point 1 of 'c' has a vector with NaN or infinity"):
        copy_collection(source, target, "c")
    assert target.count("c").count == 0
    source.close()
    target.close()


def test_a_question_without_a_vector_is_refused(client: QdrantClient) -> None:
    Collection(client, COLLECTION).create(IDENTITY)
    with pytest.raises(UsageError, match="question holds NaN or infinity"):
        Collection(client, COLLECTION).search(np.full((1, 4), np.nan, np.float32), k=1)


def test_embeddings_never_return_what_is_not_finite(
    tiny_pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = RDREmbeddings(context_encoder=tiny_pair[0], question_encoder=tiny_pair[1])
    batch = EncodedBatch([0], np.full((1, tiny.dimension), np.nan, np.float32), [False])
    monkeypatch.setattr(Encoder, "_encode_parts", lambda self, parts: iter([batch]))
    for embed in (
        lambda: tiny.embed_documents(["a"]),
        lambda: tiny.embed_query("a"),
        lambda: tiny.encode_questions(["a"]),
        lambda: tiny.identity(),
    ):
        with pytest.raises(ModelError, match="not finite in fp32 on cpu"):
            embed()


@pytest.mark.parametrize("between", [0, 50])
def test_a_second_record_of_a_rejected_id_is_a_conflict_however_late_it_is_read(
    between: int, client: QdrantClient
) -> None:
    """If that depended on when the vector is known, equal loads would not store equal points."""
    second_is_read = threading.Event()

    class WaitsForSecond(FixedEncoder):
        def encode_batches(self, tokens: list[str]) -> Iterator[EncodedBatch]:
            assert between or second_is_read.wait(60)
            return super().encode_batches(tokens)

    def passages() -> Iterator[Passage]:
        yield Passage("0", "has no vector")
        yield from (Passage(str(1 + n), f"text {n}") for n in range(between))
        yield Passage("0", "another text")
        second_is_read.set()

    vectors = np.ones((1 + between, DIMENSION))
    vectors[0] = np.nan
    rejects: list[Reject] = []
    loader = QdrantLoader(
        embeddings=WaitsForSecond(vectors),
        client=client,
        collection_name=COLLECTION,
        batch_size=1,
        on_reject=rejects.append,
    )
    with suppress(SourceError):  # none of the passages can be used
        assert loader.load(passages()).verified == between
    reasons = sorted(one.reason for one in rejects)
    assert [("NaN" in one, "id stands twice" in one) for one in reasons] == [
        (False, True),
        (True, False),
    ]


def test_a_folder_with_a_second_record_of_a_rejected_id_is_encoded_again_without_change(
    write: Callable[..., Path], overflowing: RDREmbeddings, tmp_path: Path
) -> None:
    rows = [("x", "music"), ("a", "a river"), ("x", "a king")]
    rows += [(f"p{n}", f"river {n}") for n in range(20)]
    lines = (f'{{"id": "{one}", "text": "{text}"}}\n' for one, text in rows)
    file = write("rows.jsonl", "".join(lines))

    def encode() -> EncodeReport:
        encoder = ShardEncoder(
            embeddings=overflowing, folder=tmp_path / "shards", batch_size=2, shard_size=8
        )
        return encoder.encode_sources([open_source(file)])

    first = encode()
    assert (first.encoded, first.rejected, first.passages) == (21, 2, 21)
    second = encode()
    assert (second.kept, second.rejected, second.passages) == (21, 2, 21)


def test_a_stored_part_whose_new_version_is_rejected_is_kept(
    client: QdrantClient, write: Callable[..., Path]
) -> None:
    """The text still has that part, so it is no leftover."""

    class OverflowsForSecondParts(FixedEncoder):
        overflows = False

        def vector(self, passage_id: str) -> np.ndarray:
            is_bad = self.overflows and passage_id.endswith("#2")
            return np.full(DIMENSION, np.nan if is_bad else 1.0, np.float32)

    encoder = OverflowsForSecondParts(np.ones((2, DIMENSION)))
    loader = QdrantLoader(embeddings=encoder, client=client, collection_name=COLLECTION)

    def load(last: str) -> tuple[int, int, int | None]:
        text = f"One two three four five. Six seven eight nine {last}. Now the last five words."
        source = open_source(write("one.jsonl", json.dumps({"id": "1", "text": text})))
        report = loader.load_sources([source], split=5)
        return report.rejected, report.leftover_parts, report.points

    assert load("ten") == (0, 0, 3)
    encoder.overflows = True
    assert load("eleven") == (1, 0, 3)


def test_an_empty_collection_is_named_after_recreating_it_for_nothing(client: QdrantClient) -> None:
    passages = passages_for([0, 1])
    loader = QdrantLoader(
        embeddings=FixedEncoder(np.ones((2, DIMENSION))),
        client=client,
        collection_name=COLLECTION,
    )
    loader.load(passages)
    loader.recreate = True
    loader.embeddings = FixedEncoder(np.full((2, DIMENSION), np.nan))
    loader.batch_size = 1
    expected = f"nothing was loaded, and '{COLLECTION}', which was recreated, is empty"
    with pytest.raises(SourceError, match=expected):
        loader.load(passages)


def test_rejects_that_nobody_handles_are_logged_by_encode(
    source: Path, vectors: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = ShardEncoder(embeddings=FixedEncoder(vectors), folder=tmp_path / "shards")
    encoder.encode_sources([open_source(source)])
    assert "2 rejected (first: " in caplog.text
