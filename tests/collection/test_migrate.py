"""A copied collection equals its source, between any two kinds of Qdrant."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.collection import Collection, PointId, copy_collection
from rdr_qdrant.collection.connection import CREATION_KEY
from rdr_qdrant.collection.points import Points
from rdr_qdrant.errors import CollectionError, StoreError
from tests.conftest import COLLECTION
from tests.support.faults import ResetAfter, Status
from tests.support.qdrant_http_server import QdrantHTTPServer

TWO_NUMBERS = models.VectorParams(size=2, distance=models.Distance.DOT)
Store = Callable[[], QdrantClient]


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Store]:
    """Opens further embedded stores, each in its own folder."""
    opened: list[QdrantClient] = []
    numbers = itertools.count()

    def another() -> QdrantClient:
        opened.append(connect(path=tmp_path / f"store-{next(numbers)}"))
        return opened[-1]

    yield another
    for client in opened:
        client.close()


def contents(client: QdrantClient) -> dict[object, tuple[object, object]]:
    points, _ = client.scroll(COLLECTION, limit=10_000, with_vectors=True)
    return {p.id: (p.payload, np.asarray(p.vector, dtype=np.float32).tolist()) for p in points}


@pytest.fixture
def filled(client: QdrantClient, tiny: RDREmbeddings) -> QdrantClient:
    passages = [Passage(str(i), f"the river {i}", "river", {"n": i}) for i in range(600)]
    QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION).load(passages)
    return client


def test_a_collection_is_copied_there_and_back(filled: QdrantClient, another: Store) -> None:
    there = another()
    report = copy_collection(filled, there, COLLECTION)
    assert (report.points, report.copied, report.unchanged, report.verified) == (600, 600, 0, 200)
    assert contents(there) == contents(filled)
    before, after = (c.get_collection(COLLECTION).config for c in (filled, there))
    assert after.metadata.pop(CREATION_KEY) != before.metadata.pop(CREATION_KEY)
    assert after.metadata == before.metadata
    assert after.params.vectors.distance == models.Distance.DOT
    expected = contents(there)
    filled.delete_collection(COLLECTION)
    copy_collection(there, filled, COLLECTION)
    assert contents(filled) == expected


def test_a_second_copy_writes_nothing(filled: QdrantClient, another: Store) -> None:
    there = another()
    copy_collection(filled, there, COLLECTION)
    report = copy_collection(filled, there, COLLECTION)
    assert (report.copied, report.unchanged) == (0, 600)


def test_points_that_only_the_target_has_are_counted_and_kept(
    filled: QdrantClient, another: Store
) -> None:
    there = another()
    assert copy_collection(filled, there, COLLECTION).extra == 0
    filled.delete(COLLECTION, points_selector=[5, 6])
    report = copy_collection(filled, there, COLLECTION)
    assert (report.points, report.copied, report.extra) == (598, 0, 2)
    assert there.count(COLLECTION).count == 600


def test_points_that_only_the_target_has_are_unknown_where_counts_are_estimates(
    filled: QdrantClient, another: Store
) -> None:
    limits = models.StrictModeConfig(enabled=True, search_allow_exact=False)
    with QdrantHTTPServer(another()) as server:
        there = connect(url=server.url)
        copy_collection(filled, there, COLLECTION)
        there.update_collection(COLLECTION, strict_mode_config=limits)
        assert copy_collection(filled, there, COLLECTION).extra is None
        there.close()


def test_points_that_the_source_loses_during_the_copy_are_no_error(
    filled: QdrantClient, another: Store
) -> None:
    there = another()

    def delete_most(done: int, total: int) -> None:
        if done == total:
            filled.delete(COLLECTION, points_selector=list(range(590)))

    report = copy_collection(filled, there, COLLECTION, progress=delete_most)
    assert (report.points, report.copied, report.extra) == (600, 600, 590)
    assert report.verified <= 10


def test_a_failed_copy_resumes(filled: QdrantClient) -> None:
    with QdrantHTTPServer() as server:
        there = connect(url=server.url)
        server.inject(Status(500), match="PUT .*/points", times=1)
        with pytest.raises(StoreError, match="500"):
            copy_collection(filled, there, COLLECTION, retry_for=0)
        report = copy_collection(filled, there, COLLECTION)
        assert report.copied == 600
        there.delete(COLLECTION, points_selector=[5, 6])
        there.set_payload(COLLECTION, {"content_hash": "other"}, points=[7])
        assert copy_collection(filled, there, COLLECTION).copied == 3
        assert contents(there) == contents(filled)
        there.close()


def test_failed_calls_to_either_side_are_retried(another: Store) -> None:
    one, two = another(), another()
    one.create_collection(COLLECTION, TWO_NUMBERS)
    points = [models.PointStruct(id=n, vector=[1.0, float(n)], payload={}) for n in range(600)]
    one.upsert(COLLECTION, points)
    retried: list[str] = []
    with QdrantHTTPServer(one) as source, QdrantHTTPServer(two) as target:
        for path in ("GET /collections/.*", "POST .*/scroll", "POST .*/points"):
            source.inject(Status(503), match=path)
        for path in ("PUT /collections/[^/]*", "PUT .*/points", "POST .*/points"):
            target.inject(ResetAfter(), match=path)
        reader, writer = connect(url=source.url), connect(url=target.url)
        report = copy_collection(
            reader, writer, COLLECTION, on_retry=lambda why, seconds: retried.append(why)
        )
        assert (report.points, report.copied, report.verified) == (600, 600, 200)
        assert len(retried) == 6
        reader.close()
        writer.close()
    assert contents(one) == contents(two)


def test_a_resumed_copy_creates_the_payload_indexes_that_are_missing(
    server: QdrantClient, another: Store
) -> None:
    source = another()
    source.create_collection(COLLECTION, TWO_NUMBERS)
    source.create_payload_index(COLLECTION, "word", models.PayloadSchemaType.KEYWORD)
    copy_collection(source, server, COLLECTION)
    server.delete_payload_index(COLLECTION, "word")
    copy_collection(source, server, COLLECTION)
    assert server.get_collection(COLLECTION).payload_schema.keys() == {"word"}


def test_a_point_that_the_target_does_not_take_is_named(another: Store) -> None:
    source = another()
    source.create_collection(COLLECTION, TWO_NUMBERS)
    points = [models.PointStruct(id=n, vector=[1.0, float(n)], payload={}) for n in range(9)]
    points.append(models.PointStruct(id=77, vector=[1.0, 1.0], payload={"text": "x" * 9000}))
    source.upsert(COLLECTION, points)
    with QdrantHTTPServer(max_request_bytes=5000) as server:
        target = connect(url=server.url)
        with pytest.raises(CollectionError, match="Point 77 .* is larger than the target takes"):
            copy_collection(source, target, COLLECTION)
        assert target.count(COLLECTION).count == 9
        target.close()


def test_a_copy_that_differs_from_its_source_is_an_error(
    filled: QdrantClient, another: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = another()

    def lossy(points: Points, records: list[models.Record]) -> list[PointId]:
        return []

    monkeypatch.setattr(Points, "upsert_records", lossy)
    with pytest.raises(CollectionError, match="is not the same in the target"):
        copy_collection(filled, there, COLLECTION)


def test_a_target_with_other_vectors_is_left_alone(filled: QdrantClient, another: Store) -> None:
    there = another()
    params = models.VectorParams(size=32, distance=models.Distance.COSINE)
    there.create_collection(COLLECTION, vectors_config=params)
    with pytest.raises(CollectionError, match="with other vectors .*32.*, source: "):
        copy_collection(filled, there, COLLECTION)
    assert there.count(COLLECTION).count == 0


def test_a_target_with_other_metadata_is_left_alone(filled: QdrantClient, another: Store) -> None:
    there = another()
    copy_collection(filled, there, COLLECTION)
    Collection(there, COLLECTION).bm25.add()
    with pytest.raises(CollectionError, match=r"with other metadata \(rdr_qdrant_bm25\)"):
        copy_collection(filled, there, COLLECTION)
    assert Collection(there, COLLECTION).bm25.count()


def test_the_error_for_a_missing_source_lists_its_collections(another: Store) -> None:
    with pytest.raises(CollectionError, match=r"no collection 'x' \(it has: none\)"):
        copy_collection(another(), another(), "x")


def test_named_sparse_and_multi_vectors_and_settings_are_copied(another: Store) -> None:
    one, two = another(), another()
    one.create_collection(
        COLLECTION,
        vectors_config={
            "a": models.VectorParams(size=2, distance=models.Distance.COSINE),
            "m": models.VectorParams(
                size=2,
                distance=models.Distance.DOT,
                multivector_config=models.MultiVectorConfig(
                    comparator=models.MultiVectorComparator.MAX_SIM
                ),
            ),
        },
        sparse_vectors_config={"s": models.SparseVectorParams()},
        hnsw_config=models.HnswConfigDiff(m=24),
        quantization_config=models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8)
        ),
    )
    one.create_payload_index(COLLECTION, "word", models.PayloadSchemaType.KEYWORD)
    vector = {
        "a": [3.0, 4.0],
        "m": [[1.0, 2.0], [3.0, 4.0]],
        "s": models.SparseVector(indices=[7, 1], values=[0.5, 0.25]),
    }
    one.upsert(COLLECTION, [models.PointStruct(id=1, vector=vector, payload={"word": "x"})])
    assert copy_collection(one, two, COLLECTION).copied == 1
    assert copy_collection(one, two, COLLECTION).copied == 0
    before, after = (c.get_collection(COLLECTION) for c in (one, two))
    assert after.config.hnsw_config.m == 24
    assert after.config.quantization_config == before.config.quantization_config
    assert after.payload_schema.keys() == {"word"}


def test_a_target_of_unknown_origin_with_other_points_is_refused(another: Store) -> None:
    """Neither side records who made it: an interrupted copy resumes, others are left alone."""
    ours, theirs = another(), another()
    for client in (ours, theirs):
        client.create_collection(
            COLLECTION, models.VectorParams(size=2, distance=models.Distance.DOT)
        )
    points = [models.PointStruct(id=n, vector=[float(n), 1.0], payload={"n": n}) for n in range(5)]
    ours.upsert(COLLECTION, points)
    theirs.upsert(COLLECTION, points[:2])
    assert copy_collection(ours, theirs, COLLECTION).copied == 3
    theirs.upsert(COLLECTION, [models.PointStruct(id=9, vector=[1.0, 1.0], payload={"mine": 1})])
    ours.upsert(COLLECTION, [models.PointStruct(id=7, vector=[1.0, 1.0])])
    before = contents(theirs)
    with pytest.raises(CollectionError, match="its point 9 is not one of the source's"):
        copy_collection(ours, theirs, COLLECTION)
    assert contents(theirs) == before
