"""What a collection takes in memory and on disk, part by part.

The constants that no documentation gives are those of the files that Qdrant's engine wrote for
8,000 and 100,000 points. Beside 50,000 others (benchmarks/plan.py): vectors, quantized vectors, ids
and packed payload within 1 %, a product's codebook (2.4 MB) aside; RAM 1 to 3 % too high; the graph
a third too high, for it is the most there may be; the log nearly twice, for its files are not full.
docs/wikipedia.md has the table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rdr_qdrant.errors import UsageError
from rdr_qdrant.planning.estimate import Quantity, size, total
from rdr_qdrant.planning.inputs import Needs

CAPACITY = "Qdrant documentation, Capacity Planning"
QUANTIZED = "Qdrant documentation, Quantization"
FILES = "Qdrant's files for 100,000 points (benchmarks/plan.py)"

HEADROOM = 1.5
"""What Qdrant's documentation multiplies vectors with, for all else and for work under way."""

ID_BYTES_ON_DISK, ID_BYTES_IN_RAM = 21, 21
"""Of a point with a number for its id; a UUID takes 8 more. On disk 13 of mapping, 8 of version."""

ID_BYTES_COLD = 8
"""Of a point whose id is on disk (`id_tracker_memory=cold`, Qdrant 1.20): its version. The embedded
engine kept 4 B a point then, by its RAM with 400,000 points beside that with 20,000."""

PAYLOAD_PACKED, PAYLOAD_TRACKER, PAYLOAD_BLOCK = 0.93, 16, 128
"""What LZ4 leaves of a payload of English text; bytes to find one; bytes that it is rounded to."""

PROCESS_BYTES = 75_000_000
"""The engine itself, without a point: 29 MB of its own, 46 MB of its code and log in RAM."""

LOG_BYTES = 2 * 32 * 1024**2
"""The write-ahead log of one shard: two files of `wal_capacity_mb` (32 MB unless configured)."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """How vectors are stored, or what lies beside them.

    Attributes:
        label: in words.
        vector_bits: of a number of the vector itself.
        bits: of a number of the quantized vector; 0 where there is none.
        extra: bytes beside them in each quantized vector.
        index_time: to build the graph, in parts of what it takes without quantization: the engine
            compares quantized vectors for it (benchmarks/plan.py --index-times).
    """

    label: str
    vector_bits: int = 32
    bits: int = 0
    extra: int = 0
    index_time: float = 1.0


QUANTIZATIONS: Mapping[str, Quantization] = {
    "none": Quantization("none"),
    "float16": Quantization("float16", vector_bits=16),
    "scalar": Quantization("scalar, 8 bits", bits=8, extra=4, index_time=0.3),
    "turbo": Quantization("turbo, 4 bits", bits=4, extra=8, index_time=0.3),
    "product": Quantization("product, x16", bits=2, index_time=1.7),
    "binary": Quantization("binary, 1 bit", bits=1, index_time=0.3),
}
"""Those that a collection can have, at what Qdrant does where nothing more is said. `float16` is
no quantization but a datatype of the vectors: `--set datatype=float16`."""


@dataclass(frozen=True, slots=True)
class QuantizationPlan:
    """What a collection of a quantization takes, all copies together.

    Attributes:
        name: of `QUANTIZATIONS`.
        quantized: the quantized vectors of one copy, or `None`.
        ram: with vectors, graph and all else in RAM.
        ram_without_vectors: with the original vectors on disk; `None` where nothing is quantized.
        disk: what its files take.
        disk_peak: while the index is built.
        index: how long that takes.
    """

    name: str
    quantized: Quantity | None
    ram: Quantity
    ram_without_vectors: Quantity | None
    disk: Quantity
    disk_peak: Quantity
    index: Quantity


@dataclass(frozen=True, slots=True)
class LayoutPlan:
    """What a preset takes, all copies together.

    Attributes:
        name: of the preset.
        ram: what it keeps or caches in RAM.
        disk, disk_peak, index: as of its quantization.
    """

    name: str
    ram: Quantity
    disk: Quantity
    disk_peak: Quantity
    index: Quantity


def vectors(needs: Needs, quantization: Quantization) -> Quantity:
    """The original vectors of one copy."""
    width = quantization.vector_bits // 8
    name = "vectors" if width == 4 else f"{quantization.label} vectors"
    return Quantity(
        name,
        needs.passages * needs.dimension * width,
        f"{needs.passages:,} x {needs.dimension} x {width} B",
        CAPACITY,
        estimate=False,
    )


def quantized(needs: Needs, quantization: Quantization) -> Quantity | None:
    """The quantized vectors of one copy."""
    if not quantization.bits:
        return None
    extra = f" + {quantization.extra} B" if quantization.extra else ""
    each = math.ceil(needs.dimension * quantization.bits / 8) + quantization.extra
    brackets = ("(", ")") if extra else ("", "")
    per_vector = f"{needs.dimension} x {quantization.bits} / 8 B{extra}"
    return Quantity(
        "quantized",
        needs.passages * each,
        f"{needs.passages:,} x {brackets[0]}{per_vector}{brackets[1]}",
        f"{QUANTIZED}; {FILES}",
        estimate=False,
    )


def graph(needs: Needs) -> Quantity:
    """The links of the lowest level of the graph, as many as there may be, packed."""
    bits = max(8, math.ceil(math.log2(needs.passages + 1)))
    return Quantity(
        "graph",
        needs.passages * 2 * needs.m * bits / 8,
        f"{needs.passages:,} x 2 x {needs.m} links x {bits} / 8 B (at most)",
        "Malkov and Yashunin 2018, sec. 4.1: at most 2 m links on the lowest level; links take "
        "as many bits as the number of points needs (qdrant, graph_links.rs)",
    )


def ids(needs: Needs, each: int) -> Quantity:
    """Ids and versions of points."""
    return Quantity("ids", needs.passages * each, f"{needs.passages:,} x {each} B", FILES)


def payload(needs: Needs) -> Quantity:
    """Texts and metadata of one copy."""
    packed, half = PAYLOAD_PACKED, PAYLOAD_BLOCK // 2
    each = packed * needs.payload_bytes + half + PAYLOAD_TRACKER
    return Quantity(
        "payload",
        needs.passages * each,
        f"{needs.passages:,} x ({needs.payload_bytes:,} x {packed} + {half} + {PAYLOAD_TRACKER}) B",
        FILES,
    )


def log(needs: Needs) -> Quantity:
    """The write-ahead log, of one shard on each server."""
    return Quantity(
        "log",
        LOG_BYTES * needs.servers / needs.replicas,
        "2 x 32 MiB of each shard, one a server",
        "Qdrant configuration: wal_capacity_mb",
    )


def process(needs: Needs) -> Quantity:
    """The engine itself on every server, for each copy."""
    return Quantity(
        "process", PROCESS_BYTES * needs.servers / needs.replicas, "75 MB of each server", FILES
    )


def rule_of_thumb(needs: Needs) -> Quantity:
    """The RAM that Qdrant's documentation advises where all vectors are kept in it."""
    copies = f" x {needs.replicas}" if needs.replicas > 1 else ""
    return Quantity(
        "rule of thumb",
        needs.passages * needs.dimension * 4 * HEADROOM * needs.replicas,
        f"{needs.passages:,} x {needs.dimension} x 4 B x {HEADROOM:g}{copies}",
        CAPACITY,
    )


def plan_quantization(needs: Needs, name: str) -> QuantizationPlan:
    """What a collection of this quantization takes.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in QUANTIZATIONS:
        known = ", ".join(QUANTIZATIONS)
        raise UsageError(f"There is no quantization {name!r}. Known: {known}.")
    found = QUANTIZATIONS[name]
    originals, small = vectors(needs, found), quantized(needs, found)
    others = (graph(needs), ids(needs, ID_BYTES_IN_RAM), process(needs))
    searched = (small, *others) if small else others
    stored = (originals, *([small] if small else []), graph(needs), ids(needs, ID_BYTES_ON_DISK))
    stored = (*stored, payload(needs))
    disk = total("disk", (*stored, log(needs)), needs.replicas)
    return QuantizationPlan(
        name=name,
        quantized=small,
        ram=total("RAM", (originals, *searched), needs.replicas),
        ram_without_vectors=total("RAM", searched, needs.replicas) if small else None,
        disk=disk,
        disk_peak=_peak(disk, total("points", stored, needs.replicas)),
        index=index(needs, found),
    )


def plan_preset(needs: Needs, name: str) -> LayoutPlan:
    """What a collection of this preset takes.

    Raises:
        UsageError: there is none of that name.
    """
    from rdr_qdrant.collection.settings import PRESETS

    if name not in PRESETS:
        raise UsageError(f"There is no preset {name!r}. Known: {', '.join(PRESETS)}.")
    preset = PRESETS[name]
    found = QUANTIZATIONS[preset["quantization"]]
    small = quantized(needs, found)
    cold_ids = preset.get("id_tracker_memory") == "cold"
    in_ram = [ids(needs, ID_BYTES_COLD if cold_ids else ID_BYTES_IN_RAM), process(needs)]
    if preset["hnsw_memory"] != "cold":
        in_ram.insert(0, graph(needs))
    if small and preset["quantization_memory"] != "cold":
        in_ram.insert(0, small)
    if preset["vectors_memory"] != "cold":
        in_ram.insert(0, vectors(needs, found))
    stored = plan_quantization(needs, preset["quantization"])
    ram = total("RAM", tuple(in_ram), needs.replicas)
    return LayoutPlan(name, ram, stored.disk, stored.disk_peak, stored.index)


def index(needs: Needs, quantization: Quantization) -> Quantity:
    """Each server indexes its share with all its cores; a rate that was given is taken as it is."""
    rate = needs.index
    share = needs.passages * needs.replicas / needs.servers
    seconds = share / (rate.per_second * needs.cores)
    times = quantization.index_time if rate.estimate else 1.0
    shown = f" x {times:g}" if times != 1.0 else ""
    return Quantity(
        "index",
        seconds * times,
        f"{share:,.0f} points a server / ({rate.per_second:,.0f} points/s x {needs.cores} cores)"
        f"{shown}",
        rate.source,
        estimate=True,
    )


def _peak(disk: Quantity, points: Quantity) -> Quantity:
    """Where all segments are rebuilt at once, old and new are both there."""
    return Quantity(
        "disk at peak",
        disk.value + points.value,
        f"{size(disk.value)} + {size(points.value)}: old and new segments while the index is built",
        "Qdrant documentation, Optimizer: a segment stays readable while it is rebuilt",
    )
