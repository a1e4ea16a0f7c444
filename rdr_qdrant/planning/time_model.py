"""How long encoding and upload take, and all of it."""

from __future__ import annotations

from types import SimpleNamespace

from rdr_qdrant.planning.estimate import Quantity
from rdr_qdrant.planning.gpus import GPUS
from rdr_qdrant.planning.inputs import TOKENIZING_RATE, Needs, Rate

BERT_BASE = SimpleNamespace(
    hidden_size=768,
    intermediate_size=3072,
    num_attention_heads=12,
    num_hidden_layers=12,
    projection_dim=0,
)
"""The encoders of RDR and DPR."""


def encoding(needs: Needs) -> tuple[Quantity, ...]:
    """By the rate that is known, and as an estimate for each GPU."""
    known = (_at(needs, needs.encoding),) if needs.encoding else ()
    return (*known, *(_on(needs, gpu) for gpu in needs.gpus))


def tokenizing(needs: Needs) -> Quantity:
    """What a core has to do beside a GPU; those of the machine share it."""
    return Quantity(
        "tokenizing, one core",
        needs.passages / TOKENIZING_RATE,
        f"{needs.passages:,} / {TOKENIZING_RATE:,.0f} passages/s, beside a GPU's encoding",
        "measured: one core of a shared machine",
    )


def upload(needs: Needs) -> Quantity:
    """All copies are written by the servers at once: it is the points that count."""
    rate = needs.upload
    return Quantity(
        "upload",
        needs.passages / rate.per_second,
        f"{needs.passages:,} / {rate.per_second:,.0f} points/s",
        rate.source,
        rate.estimate,
    )


def whole(needs: Needs, index: Quantity) -> Quantity | None:
    """An ingest that puts the index off: encoding and upload go on side by side.

    Args:
        needs: what is planned.
        index: how long that takes.
    """
    if len(found := encoding(needs)) != 1:
        return None
    loaded = max(found[0], upload(needs), key=lambda one: one.value)
    return Quantity(
        "ingest --bulk",
        loaded.value + index.value,
        f"the longer of encoding and upload, then index: {loaded.name} + index",
        "the times above",
    )


def _at(needs: Needs, rate: Rate) -> Quantity:
    times = f" x {needs.devices}" if needs.devices > 1 else ""
    return Quantity(
        "encoding",
        needs.passages / (rate.per_second * needs.devices),
        f"{needs.passages:,} / ({rate.per_second:,.1f} passages/s{times})",
        rate.source,
        rate.estimate or needs.devices > 1,
    )


def _on(needs: Needs, name: str) -> Quantity:
    from rdr_qdrant.encoding.benchmark import operations

    gpu = GPUS[name]
    each = operations(BERT_BASE, [needs.tokens])
    label = gpu.label if needs.devices == 1 else f"{needs.devices} x {gpu.label}"
    times = f" x {needs.devices}" if needs.devices > 1 else ""
    return Quantity(
        f"encoding, {label}",
        needs.passages * each / (gpu.peak * needs.utilization * needs.devices),
        f"{needs.passages:,} x {each / 1e9:.1f} GFLOP / "
        f"({gpu.peak / 1e12:,.0f} TFLOP/s x {needs.utilization:.0%}{times})",
        f"{gpu.source}; {needs.utilization:.0%} of it is assumed; operations of BERT-base at "
        f"{needs.tokens} tokens",
    )
