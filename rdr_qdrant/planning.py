"""Estimates RAM, disk and time of a corpus, each figure with its arithmetic.

Constants that no documentation gives were measured: from the files that Qdrant's engine wrote for
8,000 and 100,000 points, and as rates on two shared cores (benchmarks/plan.py). docs/wikipedia.md
compares the results with real collections.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from rdr_qdrant.errors import UsageError

WIKIPEDIA_PASSAGES = 21_015_324
"""Passages of DPR's Wikipedia (December 2018; Karpukhin et al. 2020, sec. 4.1)."""

# Bytes of one point. Measured in the files of 100,000 points, unless a source is named.
DIMENSION = 768
TEXT_BYTES = 630  # 100 words of English Wikipedia; the mean in XQuAD's articles is 634
PAYLOAD_BESIDE_TEXT = 180  # as JSON: keys, title, id, source and hash
PAYLOAD_PACKED = 0.93  # what LZ4 leaves of an English payload
PAYLOAD_OVERHEAD = 64 + 16  # half of the block that it is rounded up to, and its position
ID_BYTES = 21  # 13 for a numeric id, 8 for its version; a UUID takes 8 more
VERSION_BYTES = 8  # all that stays in RAM with id_tracker_memory=cold (Qdrant 1.20)
GRAPH_M = 16  # at most 2 m links on the lowest level (Malkov and Yashunin 2018, sec. 4.1)
WORDS_PER_BYTE = 0.08  # different words of a title and text, for BM25: 37 in 460 bytes of XQuAD
WORD_ON_DISK = 10  # of 200,000 points of 46 words
WORD_IN_RAM = 16  # the same, in the index that a segment has while it is written to

# Bytes of one server.
PROCESS_BYTES = 75_000_000  # RAM of the engine without a point: 29 MB heap, 46 MB code and log
LOG_BYTES = 2 * 32 * 1024**2  # two files of wal_capacity_mb (Qdrant configuration)

# Rates. Measured on two shared cores with the embedded engine, but for the GPU's.
FLOP_PER_PASSAGE = 21.656e9  # BERT-base at 135 tokens, the mean of 100 words and a title in XQuAD
UTILIZATION = 0.3  # part of a GPU's peak: measured on an H100, assumed of others
UPLOAD_RATE = 8_909.0  # points/s
INDEX_RATE = 227.0  # points/s of one core: the slowest of three runs; the fastest had 1,381


class Quantization(NamedTuple):
    """The size of a vector in Qdrant's files."""

    vector_bits: int = 32  # of each number of the original vector
    bits: int = 0  # of each number of the quantized vector
    extra_bytes: int = 0  # of each quantized vector
    index_time: float = 1.0  # time to build the graph beside "none": benchmarks/plan.py


QUANTIZATIONS: Mapping[str, Quantization] = {
    "none": Quantization(),
    "float16": Quantization(vector_bits=16),  # a datatype: --set datatype=float16
    "scalar": Quantization(bits=8, extra_bytes=4, index_time=0.3),
    "turbo": Quantization(bits=4, extra_bytes=8, index_time=0.3),
    "product": Quantization(bits=2, index_time=1.7),
    "binary": Quantization(bits=1, index_time=0.3),
}

GPUS: Mapping[str, tuple[str, float]] = {
    "h100": ("H100 SXM", 989e12),  # NVIDIA H100 data sheet: 1,979 TFLOPS with sparsity
    "h200": ("H200 SXM", 989e12),  # NVIDIA H200 data sheet: 1,979 TFLOPS with sparsity
    "a100": ("A100", 312e12),  # NVIDIA A100 data sheet
    "rtx4090": ("RTX 4090", 165e12),  # NVIDIA Ada architecture white paper, app. A
    "l4": ("L4", 121e12),  # NVIDIA L4 data sheet: 242 TFLOPS with sparsity
    "t4": ("T4", 65e12),  # NVIDIA T4 data sheet
}
"""Label and dense half-precision FLOP/s (sums in fp32), as published."""

EXACT_PARTS = ("vectors", "quantized")
"""Parts whose sizes are no estimates."""
SEGMENTS = ("vectors", "quantized", "graph", "ids", "payload", "bm25")
"""Parts that are written a second time while the index is built."""
MEMORY_SETTINGS = {
    "vectors": "vectors_memory",
    "quantized": "quantization_memory",
    "graph": "hnsw_memory",
    "ids": "id_tracker_memory",
}
"""The setting of a preset that says where a part is kept: on disk if it is `cold`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """A corpus and the machines for it; numbers are above 0."""

    passages: int = WIKIPEDIA_PASSAGES
    dimension: int = DIMENSION
    text_bytes: int = TEXT_BYTES  # mean UTF-8 bytes of a passage's text
    bm25: bool = False  # sparse vectors of the words as well
    presets: tuple[str, ...] = ()
    quantizations: tuple[str, ...] = ("none",)
    replicas: int = 1  # copies of every point
    servers: int = 1  # that share the points evenly
    cores: int = 8  # of each server, that build its index
    gpus: tuple[str, ...] = ("h100",)
    devices: int = 1  # GPUs that encode at once
    encode_rate: float | None = None  # measured passages/s of one device, instead of `gpus`
    index_rate: float | None = None  # measured points/s of one core, for the layout in question


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of bytes or seconds, and how it was computed."""

    name: str
    value: float
    arithmetic: str
    estimate: bool = True  # it rests on an assumption, or on a measurement under other conditions


@dataclass(frozen=True, slots=True)
class Layout:
    """The needs of a preset or of a quantization, in bytes of all copies together."""

    name: str
    in_ram: tuple[str, ...]  # parts that it keeps or caches there, beside the process
    ram: float
    disk: float
    disk_peak: float  # while the index is built: old segments stay readable until it is done
    index: Quantity


@dataclass(frozen=True, slots=True)
class Plan:
    """RAM, disk and time of a corpus."""

    inputs: PlanInputs
    layouts: tuple[Layout, ...]  # presets, then quantizations with original vectors on disk
    parts: tuple[Quantity, ...]  # bytes of one copy
    encoding: tuple[Quantity, ...]  # at the rate given, or on each GPU
    upload: Quantity
    index: Quantity  # of the first layout
    ingest: Quantity  # `ingest --bulk` with the first of `encoding`, which overlaps with the upload


def plan(inputs: PlanInputs) -> Plan:
    """Compute the plan.

    Raises:
        UsageError: a name is unknown, or there are more replicas than servers.
    """
    from rdr_qdrant.collection import PRESETS

    if inputs.replicas > inputs.servers:
        raise UsageError(
            f"{inputs.replicas} replicas need as many servers, but there are {inputs.servers}: "
            "Qdrant keeps the copies of a shard on different servers."
        )
    for kind, names, known in (
        ("preset", inputs.presets, PRESETS),
        ("quantization", inputs.quantizations, QUANTIZATIONS),
        ("GPU", inputs.gpus, GPUS),
    ):
        for unknown in set(names) - set(known):
            raise UsageError(f"Unknown {kind} {unknown!r}. Known: {', '.join(known)}.")
    settings = {name: PRESETS[name] for name in inputs.presets}
    for name in inputs.quantizations:
        originals = "cold" if QUANTIZATIONS[name].bits else "cached"
        settings[name] = {"quantization": name, "vectors_memory": originals}
    layouts = tuple(_layout(inputs, name, one) for name, one in settings.items())
    parts = list(_parts(inputs, "none").values())
    used = {one["quantization"] for one in settings.values()}
    for name in (name for name, how in QUANTIZATIONS.items() if how.bits and name in used):
        parts.append(replace(_parts(inputs, name)["quantized"], name=f"quantized, {name}"))
    n = inputs.passages
    encoding = tuple(_encoding(inputs))
    upload = Quantity("upload", n / UPLOAD_RATE, f"{n:,} / {UPLOAD_RATE:,.0f} points/s")
    longer = max(encoding[0], upload, key=lambda step: step.value)
    index = layouts[0].index
    ingest = Quantity("ingest --bulk", longer.value + index.value, f"{longer.name} + {index.name}")
    return Plan(inputs, layouts, tuple(parts), encoding, upload, index, ingest)


def _parts(inputs: PlanInputs, quantization: str) -> dict[str, Quantity]:
    """The parts of one copy by their names, in bytes; those without a byte are left out."""
    n, dimension, how = inputs.passages, inputs.dimension, QUANTIZATIONS[quantization]
    number = how.vector_bits // 8
    quantized = math.ceil(dimension * how.bits / 8) + how.extra_bytes
    bits = max(8, math.ceil(math.log2(n + 1)))
    payload = inputs.text_bytes + PAYLOAD_BESIDE_TEXT
    stored = payload * PAYLOAD_PACKED + PAYLOAD_OVERHEAD
    words = math.ceil(inputs.text_bytes * WORDS_PER_BYTE) if inputs.bm25 else 0
    servers = inputs.servers / inputs.replicas  # that hold one copy
    of_a_point = {
        "vectors": (dimension * number, f"{dimension} x {number} B"),
        "quantized": (quantized, f"({dimension} x {how.bits} / 8 + {how.extra_bytes}) B"),
        "graph": (2 * GRAPH_M * bits / 8, f"2 x {GRAPH_M} links x {bits} / 8 B (at most)"),
        "ids": (ID_BYTES, f"{ID_BYTES} B"),
        "versions": (VERSION_BYTES, f"{VERSION_BYTES} B, of the ids"),
        "payload": (stored, f"({payload:,} x {PAYLOAD_PACKED} + {PAYLOAD_OVERHEAD}) B"),
        "bm25": (words * WORD_ON_DISK, f"{words} words x {WORD_ON_DISK} B"),
        "bm25 index": (words * WORD_IN_RAM, f"{words} words x {WORD_IN_RAM} B, in RAM"),
    }
    parts = {
        name: Quantity(name, n * each, f"{n:,} x {arithmetic}", name not in EXACT_PARTS)
        for name, (each, arithmetic) in of_a_point.items()
        if each
    }
    log = Quantity("log", LOG_BYTES * servers, "2 x 32 MiB of each shard, one shard a server")
    process = Quantity("process", PROCESS_BYTES * servers, "75 MB of each server")
    return {**parts, "log": log, "process": process}


def _layout(inputs: PlanInputs, name: str, settings: Mapping[str, str]) -> Layout:
    parts = _parts(inputs, settings["quantization"])
    in_ram = [part for part, key in MEMORY_SETTINGS.items() if settings.get(key) != "cold"]
    if "ids" not in in_ram:
        in_ram.append("versions")
    in_ram = [part for part in (*in_ram, "bm25 index") if part in parts]

    def total(*names: str) -> float:
        return inputs.replicas * sum(parts[name].value for name in names if name in parts)

    points = inputs.passages * inputs.replicas / inputs.servers
    rate, factor = INDEX_RATE, QUANTIZATIONS[settings["quantization"]].index_time
    if inputs.index_rate:
        rate, factor = inputs.index_rate, 1.0
    index = Quantity(
        "index",
        factor * points / (rate * inputs.cores),
        f"{points:,.0f} points a server / ({rate:,.0f} points/s x {inputs.cores} cores)"
        f"{_times(factor)}",
    )
    disk = total(*SEGMENTS, "log")
    peak = disk + total(*SEGMENTS)
    return Layout(name, tuple(in_ram), total(*in_ram, "process"), disk, peak, index)


def _encoding(inputs: PlanInputs) -> Iterator[Quantity]:
    n, devices = inputs.passages, inputs.devices
    if rate := inputs.encode_rate:
        arithmetic = f"{n:,} / ({rate:,.1f} passages/s{_times(devices)})"
        yield Quantity("encoding", n / (rate * devices), arithmetic, estimate=devices > 1)
        return
    for label, peak in (GPUS[name] for name in inputs.gpus):
        yield Quantity(
            f"encoding, {devices} x {label}" if devices > 1 else f"encoding, {label}",
            n * FLOP_PER_PASSAGE / (peak * UTILIZATION * devices),
            f"{n:,} x {FLOP_PER_PASSAGE / 1e9:.1f} GFLOP / "
            f"({peak / 1e12:,.0f} TFLOP/s x {UTILIZATION:.0%}{_times(devices)})",
        )


def format_bytes(count: float) -> str:
    """Bytes in units of 1,000: `64.6 GB`."""
    for unit, power in (("TB", 4), ("GB", 3), ("MB", 2), ("kB", 1)):
        if count >= 1000**power:
            return f"{count / 1000**power:,.1f} {unit}"
    return f"{count:,.0f} B"


def _times(factor: float) -> str:
    return f" x {factor:g}" if factor != 1 else ""
