"""The whole plan."""

from __future__ import annotations

from dataclasses import dataclass

from rdr_qdrant.planning import size_model as storage
from rdr_qdrant.planning import time_model as times
from rdr_qdrant.planning.estimate import Quantity
from rdr_qdrant.planning.inputs import Needs
from rdr_qdrant.planning.size_model import LayoutPlan, QuantizationPlan


@dataclass(frozen=True, slots=True)
class Plan:
    """What a corpus will take.

    Attributes:
        needs: what was planned.
        parts: of one copy, beside quantized vectors: vectors, graph, ids, payload, log.
        quantizations: for each asked for, all copies together.
        presets: for each asked for, all copies together.
        rule_of_thumb: RAM with all vectors in it, by Qdrant's documentation.
        encoding: for each device.
        tokenizing: beside it.
        upload: for the whole, whatever the quantization.
        index: without quantization, or of the one preset or quantization that was asked for.
        ingest: all of it, where encoding is planned for one device.
    """

    needs: Needs
    parts: tuple[Quantity, ...]
    quantizations: tuple[QuantizationPlan, ...]
    presets: tuple[LayoutPlan, ...]
    rule_of_thumb: Quantity
    encoding: tuple[Quantity, ...]
    tokenizing: Quantity
    upload: Quantity
    index: Quantity
    ingest: Quantity | None

    @property
    def times(self) -> tuple[Quantity, ...]:
        """All that take time."""
        steps = (*self.encoding, self.tokenizing, self.upload, self.index)
        return (*steps, self.ingest) if self.ingest else steps


def plan(needs: Needs) -> Plan:
    """Work it out.

    Raises:
        UsageError: a quantization or preset is unknown.
    """
    quantizations = tuple(storage.plan_quantization(needs, name) for name in needs.quantizations)
    presets = tuple(storage.plan_preset(needs, name) for name in needs.presets)
    indexes = [*(one.index for one in quantizations), *(one.index for one in presets)]
    plain = storage.index(needs, storage.QUANTIZATIONS["none"])
    index = indexes[0] if len(indexes) == 1 else plain
    return Plan(
        needs=needs,
        parts=(
            storage.vectors(needs, storage.QUANTIZATIONS["none"]),
            storage.graph(needs),
            storage.ids(needs, storage.ID_BYTES_ON_DISK),
            storage.payload(needs),
            storage.log(needs),
        ),
        quantizations=quantizations,
        presets=presets,
        rule_of_thumb=storage.rule_of_thumb(needs),
        encoding=times.encoding(needs),
        tokenizing=times.tokenizing(needs),
        upload=times.upload(needs),
        index=index,
        ingest=times.whole(needs, index),
    )
