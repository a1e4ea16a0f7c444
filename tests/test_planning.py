"""The arithmetic of a plan, against figures worked out by hand and against a real collection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rdr_qdrant.collection import CollectionSettings
from rdr_qdrant.errors import UsageError
from rdr_qdrant.planning import (
    FLOP_PER_PASSAGE,
    GPUS,
    QUANTIZATIONS,
    Layout,
    Plan,
    PlanInputs,
    Quantity,
    format_bytes,
    plan,
)

WIKIPEDIA = PlanInputs(
    passages=21_015_324,
    quantizations=tuple(QUANTIZATIONS),
    presets=("small", "large", "disk"),
    gpus=("h100",),
)


@pytest.fixture(scope="module")
def found() -> Plan:
    return plan(WIKIPEDIA)


def named(parts: tuple[Quantity, ...], name: str) -> Quantity:
    [one] = [part for part in parts if part.name == name]
    return one


def layouts_of(found: Plan) -> dict[str, Layout]:
    return {layout.name: layout for layout in found.layouts}


def test_wikipedias_vectors_are_64_6_gb(found: Plan) -> None:
    vectors = named(found.parts, "vectors")
    assert vectors.value == 21_015_324 * 768 * 4
    assert format_bytes(vectors.value) == "64.6 GB"
    assert vectors.arithmetic == "21,015,324 x 768 x 4 B"
    assert not vectors.estimate


@pytest.mark.parametrize(
    ("name", "bytes_each"),
    [("scalar", 772), ("turbo", 392), ("product", 192), ("binary", 96)],
)
def test_a_quantized_vector_takes_what_the_engine_writes(
    found: Plan, name: str, bytes_each: int
) -> None:
    assert named(found.parts, f"quantized, {name}").value == 21_015_324 * bytes_each


def test_a_quantized_layout_has_its_quantized_vectors_in_ram_and_the_others_on_disk(
    found: Plan,
) -> None:
    by_name = layouts_of(found)
    for name in ("scalar", "turbo", "product", "binary"):
        quantized = named(found.parts, f"quantized, {name}").value
        saved = named(found.parts, "vectors").value - quantized
        assert by_name["none"].ram - by_name[name].ram == pytest.approx(saved)
        assert by_name[name].disk - by_name["none"].disk == pytest.approx(quantized)
        assert by_name[name].in_ram == ("quantized", "graph", "ids")


def test_ram_is_the_sum_of_its_parts_and_the_process(found: Plan) -> None:
    for layout in (one for one in found.layouts if "quantized" not in one.in_ram):
        if layout.name != "float16":
            parts = [named(found.parts, name).value for name in (*layout.in_ram, "process")]
            assert layout.ram == pytest.approx(sum(parts))


def test_float16_halves_the_vectors_and_nothing_else(found: Plan) -> None:
    none, float16 = (layouts_of(found)[name] for name in ("none", "float16"))
    half = named(found.parts, "vectors").value / 2
    assert none.ram - float16.ram == pytest.approx(half)
    assert none.disk - float16.disk == pytest.approx(half)


def test_an_index_takes_the_time_of_its_quantization(found: Plan) -> None:
    index = {one.name: one.index.value for one in found.layouts}
    for name in ("binary", "turbo", "scalar"):
        assert index[name] < index["none"] == index["float16"] < index["product"]
    assert index["large"] == index["disk"] == index["turbo"]
    assert found.index.value == index["small"] == index["none"]
    given = plan(replace(WIKIPEDIA, index_rate=1000.0))
    assert {one.index.value for one in given.layouts} == {21_015_324 / 1000 / 8}
    alone = plan(replace(WIKIPEDIA, quantizations=(), presets=("large",)))
    assert alone.index.value == index["large"]


def test_building_the_index_takes_all_but_the_log_a_second_time(found: Plan) -> None:
    log = named(found.parts, "log").value
    for layout in found.layouts:
        assert layout.disk_peak == pytest.approx(2 * layout.disk - log)


def test_the_presets_are_those_of_a_collection(found: Plan) -> None:
    small, large, disk = found.layouts[:3]
    by_name = layouts_of(found)
    assert CollectionSettings.preset("large").quantization == "turbo"
    assert small.ram == by_name["none"].ram
    assert large.ram == by_name["turbo"].ram
    assert disk.ram < large.ram < small.ram
    assert disk.disk == large.disk == by_name["turbo"].disk
    assert disk.in_ram == ("versions",)


def test_copies_multiply_the_points_and_servers_share_the_index() -> None:
    one = plan(replace(WIKIPEDIA, servers=6))
    two = plan(replace(WIKIPEDIA, servers=6, replicas=2))
    logs = named(one.parts, "log").value
    assert two.layouts[0].disk - logs == pytest.approx(2 * (one.layouts[0].disk - logs))
    assert two.index.value == pytest.approx(2 * one.index.value)
    assert plan(WIKIPEDIA).index.value == pytest.approx(6 * one.index.value)


def test_encoding_time_is_operations_over_the_assumed_part_of_the_peak(found: Plan) -> None:
    [encoding] = found.encoding
    layer = 135 * (4 * 768 * 768 + 2 * 768 * 3072) + 2 * 135 * 135 * 768
    last = 4 * 768 * 768 + 2 * 768 * 3072 + 2 * 135 * 12 * 768
    assert pytest.approx(2 * (11 * layer + last), rel=1e-4) == FLOP_PER_PASSAGE
    _, peak = GPUS["h100"]
    assert encoding.value == pytest.approx(21_015_324 * FLOP_PER_PASSAGE / (peak * 0.3))
    assert encoding.estimate
    assert "989 TFLOP/s x 30%" in encoding.arithmetic


def test_operations_per_passage_are_those_of_the_benchmark() -> None:
    from rdr_qdrant.encoding.benchmark import operations

    bert_base = SimpleNamespace(
        hidden_size=768,
        intermediate_size=3072,
        num_attention_heads=12,
        num_hidden_layers=12,
        projection_dim=0,
    )
    assert operations(bert_base, [135]) == pytest.approx(FLOP_PER_PASSAGE, rel=1e-4)


def test_a_measured_rate_replaces_an_estimate() -> None:
    found = plan(replace(WIKIPEDIA, gpus=(), encode_rate=1000.0))
    [encoding] = found.encoding
    assert (encoding.value, encoding.estimate) == (pytest.approx(21_015.324), False)
    assert found.ingest.value == encoding.value + found.index.value


def test_more_devices_share_the_encoding() -> None:
    eight = plan(replace(WIKIPEDIA, devices=8)).encoding[0]
    assert eight.value == pytest.approx(plan(WIKIPEDIA).encoding[0].value / 8)
    assert eight.name == "encoding, 8 x H100 SXM"


def test_the_whole_time_is_that_of_the_first_gpu() -> None:
    slow, fast = (plan(replace(WIKIPEDIA, gpus=gpus)) for gpus in (("t4", "h100"), ("h100", "t4")))
    assert slow.ingest.value == slow.encoding[0].value + slow.index.value
    assert fast.ingest.value == fast.upload.value + fast.index.value


def test_every_quantity_says_how_it_came_about(found: Plan) -> None:
    for one in (*found.parts, *found.encoding, found.upload, found.index, found.ingest):
        assert one.arithmetic
        assert one.value > 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"replicas": 2}, "2 replicas need as many servers, but there are 1"),
        ({"gpus": ("h900",)}, "Unknown GPU 'h900'. Known: h100"),
        ({"quantizations": ("int3",)}, "Unknown quantization 'int3'. Known: none"),
        ({"presets": ("huge",)}, "Unknown preset 'huge'. Known: small"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_name(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan(replace(WIKIPEDIA, **wrong))


def test_bytes_are_shown_in_units_of_1000() -> None:
    assert [format_bytes(n) for n in (999, 1e3, 64.56e9, 2.5e12)] == [
        "999 B",
        "1.0 kB",
        "64.6 GB",
        "2.5 TB",
    ]


def test_a_real_collection_takes_what_was_planned(tmp_path: Path) -> None:
    from qdrant_client import models

    from rdr_qdrant.embedded import EmbeddedQdrant

    points, dimension = 3_000, 384
    vectors = np.random.default_rng(0).standard_normal((points, dimension), dtype=np.float32)
    with EmbeddedQdrant(tmp_path) as client:
        client.create_collection(
            "x",
            models.VectorParams(size=dimension, distance=models.Distance.DOT),
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=1000),
            quantization_config=models.ScalarQuantization(
                scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8)
            ),
        )
        client.upsert(
            "x", [models.PointStruct(id=i, vector=v.tolist()) for i, v in enumerate(vectors)]
        )
        client.build_index("x")
        sizes = {
            name: sum(file.stat().st_size for file in tmp_path.rglob(name))
            for name in ("matrix.dat", "quantized.data", "links*.bin")
        }
    found = plan(PlanInputs(passages=points, dimension=dimension, quantizations=("scalar",)))
    assert sizes["matrix.dat"] == pytest.approx(named(found.parts, "vectors").value, rel=0.01)
    assert sizes["quantized.data"] == pytest.approx(
        named(found.parts, "quantized, scalar").value, rel=0.01
    )
    graph = named(found.parts, "graph").value
    assert graph / 3 < sizes["links*.bin"] <= 1.1 * graph


def test_bm25_adds_its_words_to_ram_and_disk() -> None:
    plain, with_words = (plan(PlanInputs(passages=1000, bm25=bm25)) for bm25 in (False, True))
    words = 1000 * 51  # 630 bytes of text hold some 51 different words
    for before, after in zip(plain.layouts, with_words.layouts, strict=True):
        assert after.ram - before.ram == 16 * words
        assert after.disk - before.disk == 10 * words
    assert "bm25" not in [part.name for part in plain.parts]
