"""A collection's configuration: the client's `models.CreateCollection` into an `EdgeConfig`.

A setting without a counterpart in the engine is refused by name, except those that only pace a
server's background work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from rdr_qdrant.embedded.convert.edge_enums import to_engine_enum
from rdr_qdrant.embedded.errors import not_supported

# The engine's defaults; its HNSW settings must be complete.
HNSW_DEFAULTS = models.HnswConfig(m=16, ef_construct=100, full_scan_threshold=10_000)
OPTIMIZER_DEFAULTS = models.OptimizersConfig(
    deleted_threshold=0.2,
    vacuum_min_vector_number=1000,
    default_segment_number=0,
    indexing_threshold=10_000,
    flush_interval_sec=5,
)
# Settings of a server's background work, which the engine does not have.
_BACKGROUND_SETTINGS = {"flush_interval_sec", "max_optimization_threads", "memmap_threshold"}


def merge_settings(current: Any, change: Any) -> Any:
    """Update the settings model `current` by every setting of `change` that is not None."""
    if current is None or change is None:
        return current if change is None else change
    return current.model_copy(update={name: value for name, value in change if value is not None})


def to_engine_config(config: models.CreateCollection) -> edge.EdgeConfig:
    """The engine's configuration of a collection.

    Raises:
        NotSupportedError: a setting that the engine does not have.
    """
    vectors = config.vectors or {}
    named = vectors if isinstance(vectors, Mapping) else {"": vectors}
    sparse = config.sparse_vectors or {}
    if not named and not sparse:
        raise not_supported("a collection without vectors", "declare at least one vector")
    return edge.EdgeConfig(
        vectors={name: to_engine_vector_params(params) for name, params in named.items()},
        sparse_vectors={name: to_engine_sparse_params(params) for name, params in sparse.items()},
        on_disk_payload=config.on_disk_payload,
        hnsw_config=_hnsw(config.hnsw_config),
        quantization_config=_quantization(config.quantization_config),
        optimizers=_optimizers(config.optimizers_config),
        payload_memory=_memory(config.payload),
        id_tracker_memory=_memory(config.id_tracker),
    )


def to_engine_vector_params(
    params: models.VectorParams,
) -> edge.EdgeVectorParams:
    """The engine's parameters of one dense vector or multivector."""
    distance = to_engine_enum(edge.Distance, params.distance)
    assert distance is not None
    return edge.EdgeVectorParams(
        size=params.size,
        distance=distance,
        on_disk=params.on_disk,
        multivector_config=to_engine_multivector(params.multivector_config),
        datatype=to_engine_enum(edge.VectorStorageDatatype, params.datatype),
        quantization_config=_quantization(params.quantization_config),
        hnsw_config=_hnsw(params.hnsw_config),
        memory=to_engine_enum(edge.Memory, params.memory),
    )


def to_engine_sparse_params(params: models.SparseVectorParams) -> edge.EdgeSparseVectorParams:
    """The engine's parameters of one sparse vector."""
    index = params.index or models.SparseIndexParams()
    return edge.EdgeSparseVectorParams(
        full_scan_threshold=index.full_scan_threshold,
        on_disk=index.on_disk,
        modifier=to_engine_modifier(params.modifier),
        datatype=to_engine_enum(edge.VectorStorageDatatype, index.datatype),
        memory=to_engine_enum(edge.Memory, index.memory),
    )


def to_engine_modifier(modifier: models.Modifier | None) -> edge.Modifier | None:
    """The modifier of sparse weights: IDF or none."""
    return None if modifier == models.Modifier.NONE else to_engine_enum(edge.Modifier, modifier)


def to_engine_multivector(config: models.MultiVectorConfig | None) -> edge.MultiVectorConfig | None:
    """The comparison of a multivector's rows."""
    if config is None:
        return None
    comparator = to_engine_enum(edge.MultiVectorComparator, config.comparator)
    assert comparator is not None
    return edge.MultiVectorConfig(comparator)


def _memory(
    params: models.PayloadStorageParams | models.IdTrackerParams | None,
) -> edge.Memory | None:
    return None if params is None else to_engine_enum(edge.Memory, params.memory)


def _hnsw(config: models.HnswConfigDiff | None) -> edge.HnswIndexConfig | None:
    if config is None:
        return None
    set_values = {name: value for name, value in config if value is not None and name != "memory"}
    defaults = HNSW_DEFAULTS.model_dump(include={"m", "ef_construct", "full_scan_threshold"})
    memory = to_engine_enum(edge.Memory, config.memory)
    return edge.HnswIndexConfig(**{**defaults, **set_values}, memory=memory)


def _optimizers(config: models.OptimizersConfigDiff | None) -> edge.EdgeOptimizersConfig | None:
    if config is None:
        return None
    return edge.EdgeOptimizersConfig(
        **{name: value for name, value in config if name not in _BACKGROUND_SETTINGS}
    )


def _quantization(config: Any) -> edge.QuantizationConfigType | None:
    match config:
        case None:
            return None
        case models.ScalarQuantization(scalar=scalar):
            kind = to_engine_enum(edge.ScalarType, scalar.type)
            assert kind is not None
            return edge.ScalarQuantizationConfig(
                kind, scalar.quantile, scalar.always_ram, to_engine_enum(edge.Memory, scalar.memory)
            )
        case models.ProductQuantization(product=product):
            ratio = to_engine_enum(edge.CompressionRatio, product.compression)
            assert ratio is not None
            return edge.ProductQuantizationConfig(
                ratio, product.always_ram, to_engine_enum(edge.Memory, product.memory)
            )
        case models.BinaryQuantization(binary=binary):
            return edge.BinaryQuantizationConfig(
                binary.always_ram,
                to_engine_enum(edge.BinaryQuantizationEncoding, binary.encoding),
                to_engine_enum(edge.BinaryQuantizationQueryEncoding, binary.query_encoding),
                to_engine_enum(edge.Memory, binary.memory),
            )
        case models.TurboQuantization(turbo=turbo):
            return edge.TurboQuantQuantizationConfig(
                turbo.always_ram,
                to_engine_enum(edge.TurboQuantBitSize, turbo.bits),
                to_engine_enum(edge.Memory, turbo.memory),
            )
    raise not_supported(f"the quantization {config!r}", "choose another, or leave it out")
