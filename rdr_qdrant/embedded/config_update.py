"""The parameters of a collection after `update_collection`."""

from collections.abc import Mapping
from typing import Any

from qdrant_client import models

from rdr_qdrant.embedded.convert.edge_config import merge_settings
from rdr_qdrant.embedded.convert.vector_validation import declared_vectors
from rdr_qdrant.embedded.errors import refuse_unsupported

_SERVER_ONLY = ("read_fan_out_factor", "read_fan_out_delay_ms")


def apply_update(
    params: models.CreateCollection,
    *,
    vectors: Mapping[str, models.VectorParamsDiff] | None,
    sparse_vectors: Mapping[str, models.SparseVectorParams] | None,
    optimizers: models.OptimizersConfigDiff | None,
    collection: models.CollectionParamsDiff | None,
    hnsw: models.HnswConfigDiff | None,
    quantization: Any,
    metadata: dict[str, Any] | None,
) -> models.CreateCollection:
    """Return `params` updated by every setting that is not None.

    Raises:
        ValueError: a vector name that the collection does not have.
        NotSupportedError: a setting of a distributed server.
    """
    update: dict[str, Any] = {
        "hnsw_config": merge_settings(params.hnsw_config, hnsw),
        "optimizers_config": merge_settings(params.optimizers_config, optimizers),
        "quantization_config": _quantization(params.quantization_config, quantization),
        "metadata": _metadata(params.metadata, metadata),
        "vectors": _dense_vectors(params, vectors or {}),
        "sparse_vectors": _sparse_vectors(params, sparse_vectors or {}),
    }
    if collection is not None:
        refuse_unsupported(
            "update_collection", {name: getattr(collection, name) for name in _SERVER_ONLY}
        )
        for name in ("on_disk_payload", "payload", "id_tracker"):
            value = getattr(collection, name)
            update[name] = getattr(params, name) if value is None else value
    return params.model_copy(update=update)


def _quantization(current: Any, change: Any) -> Any:
    if change is None:
        return current
    return None if change == models.Disabled.DISABLED else change


def _metadata(
    current: dict[str, Any] | None, change: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Merge as the server does: a key of `change` replaces, None removes."""
    if change is None:
        return current
    merged = {**(current or {}), **change}
    return {key: value for key, value in merged.items() if change.get(key, value) is not None}


def _dense_vectors(
    params: models.CreateCollection, changes: Mapping[str, models.VectorParamsDiff]
) -> Any:
    declared = declared_vectors(params)
    dense = {k: v for k, v in declared.items() if isinstance(v, models.VectorParams)}
    for name, change in changes.items():
        if name not in dense:
            raise ValueError(f"Wrong input: Not existing vector name error: {name}")
        before = dense[name]
        dense[name] = before.model_copy(
            update={
                "hnsw_config": merge_settings(before.hnsw_config, change.hnsw_config),
                "quantization_config": _quantization(
                    before.quantization_config, change.quantization_config
                ),
                "on_disk": before.on_disk if change.on_disk is None else change.on_disk,
                "memory": before.memory if change.memory is None else change.memory,
            }
        )
    return dense if isinstance(params.vectors, Mapping) else dense.get("", params.vectors)


def _sparse_vectors(
    params: models.CreateCollection, changes: Mapping[str, models.SparseVectorParams]
) -> Any:
    sparse = dict(params.sparse_vectors or {})
    for name, change in changes.items():
        if name not in sparse:
            raise ValueError(f"Vector {name} does not exist in the collection")
        before = sparse[name]
        sparse[name] = models.SparseVectorParams(
            index=merge_settings(before.index, change.index),
            modifier=before.modifier if change.modifier is None else change.modifier,
        )
    return sparse or params.sparse_vectors
