"""Building the index: when it pays, its effect on searches, and failures."""

import threading
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant.embedded import MIN_UNINDEXED_FOR_BUILD, EmbeddedQdrant

COUNT, DIM, K = 3000, 64, 10


def _clustered(count: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((40, DIM))
    rows = centres[rng.integers(0, 40, count)] + 0.5 * rng.standard_normal((count, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


VECTORS = _clustered(COUNT + 50)


def _true(i: int, among: int = COUNT) -> list[int]:
    return np.argsort(-(VECTORS[:among] @ VECTORS[COUNT + i]))[:K].tolist()


def _found(client: QdrantClient, i: int, **params: object) -> list[int]:
    asked = client.query_points(
        "a", VECTORS[COUNT + i], limit=K, search_params=models.SearchParams(**params)
    )
    return [int(p.id) for p in asked.points]


@pytest.fixture
def loaded(embedded: EmbeddedQdrant) -> EmbeddedQdrant:
    embedded.create_collection(
        "a",
        models.VectorParams(size=DIM, distance=models.Distance.DOT),
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=100),
        hnsw_config=models.HnswConfigDiff(full_scan_threshold=10),
    )
    embedded.upload_collection("a", VECTORS[:COUNT], ids=range(COUNT))
    return embedded


def test_search_is_exact_before_the_index_and_with_exact_after_it(loaded: EmbeddedQdrant) -> None:
    assert all(_found(loaded, i) == _true(i) for i in range(50))
    assert loaded.get_collection("a").indexed_vectors_count == 0
    ticks: list[float] = []
    assert loaded.build_index("a", ticks.append) is True
    assert ticks == sorted(ticks)
    assert loaded.get_collection("a").indexed_vectors_count == COUNT
    assert all(_found(loaded, i, exact=True) == _true(i) for i in range(50))
    hits = sum(len({*_found(loaded, i, hnsw_ef=128)} & {*_true(i)}) for i in range(50))
    assert hits / (50 * K) >= 0.95
    assert loaded.build_index("a") is False
    assert loaded.count("a").count == COUNT


def test_points_added_after_the_index_are_found(loaded: EmbeddedQdrant) -> None:
    loaded.build_index("a")
    loaded.upsert("a", [models.PointStruct(id=9999, vector=VECTORS[COUNT])])
    assert _found(loaded, 0)[0] == 9999
    loaded.delete("a", [9999])
    assert 9999 not in _found(loaded, 0)


@pytest.mark.parametrize(
    "quantization",
    [
        models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
        ),
        models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True)),
        models.ProductQuantization(
            product=models.ProductQuantizationConfig(compression=models.CompressionRatio.X4)
        ),
        models.TurboQuantization(turbo=models.TurboQuantQuantizationConfig()),
    ],
    ids=["scalar", "binary", "product", "turbo"],
)
def test_quantised_search_with_rescoring(loaded: EmbeddedQdrant, quantization: object) -> None:
    loaded.update_collection("a", quantization_config=quantization)
    assert loaded.build_index("a") is True
    rescored = models.QuantizationSearchParams(rescore=True, oversampling=8.0)
    hits = sum(
        len({*_found(loaded, i, quantization=rescored, hnsw_ef=200)} & {*_true(i)})
        for i in range(50)
    )
    assert hits / (50 * K) >= 0.9
    exactly = models.QuantizationSearchParams(ignore=True)
    assert _found(loaded, 0, quantization=exactly, exact=True) == _true(0)
    score = (
        loaded.query_points(
            "a", VECTORS[0], limit=1, search_params=models.SearchParams(quantization=rescored)
        )
        .points[0]
        .score
    )
    assert score == pytest.approx(1.0, abs=1e-4)


def test_index_pays_counts_unindexed_points(
    loaded: EmbeddedQdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert COUNT < MIN_UNINDEXED_FOR_BUILD
    assert not loaded.index_pays("a")
    monkeypatch.setattr("rdr_qdrant.embedded.embedded_client.MIN_UNINDEXED_FOR_BUILD", COUNT)
    assert loaded.index_pays("a")
    loaded.build_index("a")
    assert not loaded.index_pays("a")


def test_index_pays_for_points_with_sparse_vectors(
    loaded: EmbeddedQdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are indexed at once, and counted as such by the engine."""
    monkeypatch.setattr("rdr_qdrant.embedded.embedded_client.MIN_UNINDEXED_FOR_BUILD", COUNT)
    config = models.SparseVectorNameConfig(sparse=models.SparseVectorConfig())
    loaded.create_vector_name("a", "w", config)
    sparse = models.SparseVector(indices=[1], values=[1.0])
    loaded.update_vectors(
        "a", [models.PointVectors(id=n, vector={"w": sparse}) for n in range(COUNT)]
    )
    assert loaded.index_pays("a")
    loaded.build_index("a")
    assert not loaded.index_pays("a")


def test_facets_and_ordering_by_an_indexed_field(loaded: EmbeddedQdrant) -> None:
    loaded.set_payload("a", {"n": 1}, points=[1, 2, 3])
    loaded.set_payload("a", {"n": 2}, points=[4])
    with pytest.raises(ValueError, match="index"):
        loaded.facet("a", "n")
    loaded.create_payload_index("a", "n", models.PayloadSchemaType.INTEGER)
    assert [(h.value, h.count) for h in loaded.facet("a", "n", exact=True).hits] == [(1, 3), (2, 1)]
    down = models.OrderBy(key="n", direction=models.Direction.DESC)
    records, after = loaded.scroll("a", order_by=down, limit=2)
    assert records[0].id == 4
    assert after is None
    points = loaded.query_points("a", query=models.OrderByQuery(order_by=down), limit=2).points
    assert points[0].id == 4
    assert len(loaded.query_points("a", query=models.SampleQuery(sample="random")).points) == 10


def test_threads_share_one_client_while_it_is_rebuilt(loaded: EmbeddedQdrant) -> None:
    problems: list[BaseException] = []

    def guarded(work: object, times: int) -> threading.Thread:
        def run() -> None:
            try:
                for step in range(times):
                    work(step)  # type: ignore[operator]
            except BaseException as error:
                problems.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write(worker: int) -> object:
        return lambda step: loaded.upsert(
            "a",
            [
                models.PointStruct(id=100_000 + worker * 1000 + step * 10 + i, vector=VECTORS[i])
                for i in range(10)
            ],
        )

    def search(step: int) -> None:
        assert len(_found(loaded, step % 50)) == K

    threads = [guarded(write(worker), 20) for worker in range(3)]
    threads += [guarded(search, 40) for _ in range(3)]
    threads.append(guarded(lambda step: loaded.build_index("a"), 2))
    threads.append(guarded(lambda step: loaded.update_collection("a", metadata={"s": step}), 10))
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert problems == []
    assert loaded.count("a").count == COUNT + 600


def test_an_index_build_that_dies_leaves_the_points(
    loaded: EmbeddedQdrant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from rdr_qdrant.embedded import EmbeddedQdrantError

    killing = "import os, sys, threading, qdrant_edge\n" + (
        "threading.Timer(0, lambda: None)\nos.kill(os.getpid(), 9)\n"
    )
    with monkeypatch.context() as patched:
        patched.setattr("rdr_qdrant.embedded.shard._OPTIMIZE_SCRIPT", killing)
        with pytest.raises(EmbeddedQdrantError, match="status -9"):
            loaded.build_index("a")
    assert loaded.count("a").count == COUNT
    assert loaded.build_index("a") is True
