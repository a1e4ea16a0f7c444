"""What is to be planned."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rdr_qdrant.errors import UsageError
from rdr_qdrant.planning.gpus import GPUS

DIMENSION = 768
TEXT_BYTES = 630
"""100 words of English Wikipedia: 634 bytes on the mean in XQuAD's articles (measured)."""

PAYLOAD_BESIDE_TEXT = 180
"""What the loader stores beside a text: keys, title, id, source and hash, as JSON (measured)."""

TOKENS = 135
"""100 words of English Wikipedia with the title, special tokens included: the mean over XQuAD's
articles in BERT's vocabulary (measured)."""

UTILIZATION = 0.4
"""The part of a GPU's peak that is assumed: nothing was measured on a GPU."""

TOKENIZING_RATE = 4_900.0
"""Passages a second that one core tokenizes: 100 words each, of the examples (measured)."""

UPLOAD_RATE = 8_909.0
"""Points a second, with 768 numbers and a 100-word text (benchmarks/embedded_store.py, README)."""

MEASURED_ON = "the embedded engine on two shared cores; no server was measured"
INDEX_MEASURED_ON = (
    "the embedded engine on two shared cores, 227 to 1,381 points/s a core in three runs, the "
    "slowest is taken; no server was measured"
)

INDEX_RATE = 227.0
"""Points a second that one core puts into the index, at 768 numbers, m 16 and ef_construct 100: the
slowest of three runs with 100,000 points on two shared cores, 220 s (benchmarks/embedded_store.py,
README), 81 s and 36 s (benchmarks/plan.py, on other days)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate that was measured or given.

    Attributes:
        per_second: of one device, one client, or one core.
        source: who says so.
        estimate: whether it was measured under other circumstances than those planned for.
    """

    per_second: float
    source: str
    estimate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What is to be planned.

    Attributes:
        passages: how many.
        dimension: numbers of a vector.
        payload_bytes: of a point's payload as JSON, on the mean.
        m: edges of a node of the graph, as Qdrant counts them.
        quantizations: names of `QUANTIZATIONS`.
        presets: names of the presets of collections.
        replicas: copies of everything.
        servers: machines that share them evenly.
        gpus: names of `GPUS` to estimate encoding for.
        devices: GPUs (or machines of the rate) that encode at once.
        utilization: part of a GPU's peak that is assumed, 0 to 1.
        tokens: of a passage, on the mean.
        encoding: passages a second of one device, where they are known.
        upload: points a second.
        index: points a second of one core.
        cores: of one server that build its index.

    Raises:
        UsageError: a number is out of range, or a name is unknown.
    """

    passages: int
    dimension: int = DIMENSION
    payload_bytes: int = TEXT_BYTES + PAYLOAD_BESIDE_TEXT
    m: int = 16
    quantizations: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    replicas: int = 1
    servers: int = 1
    gpus: tuple[str, ...] = ()
    devices: int = 1
    utilization: float = UTILIZATION
    tokens: int = TOKENS
    encoding: Rate | None = None
    upload: Rate = Rate(UPLOAD_RATE, f"measured: {MEASURED_ON}", True)
    index: Rate = Rate(INDEX_RATE, f"measured: {INDEX_MEASURED_ON}", True)
    cores: int = 8

    def __post_init__(self) -> None:
        for name in (
            "passages",
            "dimension",
            "payload_bytes",
            "m",
            "replicas",
            "servers",
            "devices",
            "tokens",
            "cores",
        ):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if not 0 < self.utilization <= 1:
            raise UsageError(f"utilization must be above 0 and at most 1, not {self.utilization}.")
        if self.replicas > self.servers:
            raise UsageError(
                f"{self.replicas} replicas need as many servers, but there are {self.servers}: "
                "Qdrant keeps copies of a shard on different ones."
            )
        for rate in (self.encoding, self.upload, self.index):
            if rate is not None and not 0 < rate.per_second < math.inf:
                raise UsageError(f"A rate must be finite and above 0, not {rate.per_second}.")
        for gpu in self.gpus:
            if gpu not in GPUS:
                raise UsageError(f"There is no GPU {gpu!r} here. Known: {', '.join(GPUS)}.")
