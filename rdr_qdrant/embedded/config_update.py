"""What `update_collection` changes: a configuration with the given differences put over it."""

from collections.abc import Mapping
from typing import Any

from qdrant_client import models

from rdr_qdrant.embedded.convert.vector_validation import declared_vectors
from rdr_qdrant.embedded.errors import refuse_extras

_SERVER_ONLY = ("read_fan_out_factor", "read_fan_out_delay_ms")


def changed(
    config: models.CreateCollection,
    *,
    vectors: Mapping[str, models.VectorParamsDiff] | None,
    sparse_vectors: Mapping[str, models.SparseVectorParams] | None,
    optimizers: models.OptimizersConfigDiff | None,
    params: models.CollectionParamsDiff | None,
    hnsw: models.HnswConfigDiff | None,
    quantization: Any,
    metadata: dict[str, Any] | None,
) -> models.CreateCollection:
    """`config` with every setting that is given put over its own; what is not given stays.

    Raises:
        ValueError: a vector name that the collection does not have.
        NotSupportedError: a setting of a distributed server.
    """
    update: dict[str, Any] = {
        "hnsw_config": over(config.hnsw_config, hnsw),
        "optimizers_config": over(config.optimizers_config, optimizers),
        "quantization_config": _quantization(config.quantization_config, quantization),
        "metadata": _metadata(config.metadata, metadata),
        "vectors": _vectors(config, vectors or {}),
        "sparse_vectors": _sparse(config, sparse_vectors or {}),
    }
    if params is not None:
        refuse_extras("update_collection", {name: getattr(params, name) for name in _SERVER_ONLY})
        for name in ("on_disk_payload", "payload", "id_tracker"):
            value = getattr(params, name)
            update[name] = getattr(config, name) if value is None else value
    return config.model_copy(update=update)


def over(kept: Any, given: Any) -> Any:
    """The settings `kept` with those that `given` sets put over them."""
    if kept is None or given is None:
        return kept if given is None else given
    return kept.model_copy(update={name: value for name, value in given if value is not None})


def _quantization(kept: Any, given: Any) -> Any:
    if given is None:
        return kept
    return None if given == models.Disabled.DISABLED else given


def _metadata(kept: dict[str, Any] | None, given: dict[str, Any] | None) -> dict[str, Any] | None:
    """Merged as the server does: given keys replace, a null removes."""
    if given is None:
        return kept
    together = {**(kept or {}), **given}
    return {key: value for key, value in together.items() if given.get(key, value) is not None}


def _vectors(config: models.CreateCollection, given: Mapping[str, models.VectorParamsDiff]) -> Any:
    known = declared_vectors(config)
    dense = {k: v for k, v in known.items() if isinstance(v, models.VectorParams)}
    for name, change in given.items():
        if name not in dense:
            raise ValueError(f"Wrong input: Not existing vector name error: {name}")
        before = dense[name]
        dense[name] = before.model_copy(
            update={
                "hnsw_config": over(before.hnsw_config, change.hnsw_config),
                "quantization_config": _quantization(
                    before.quantization_config, change.quantization_config
                ),
                "on_disk": before.on_disk if change.on_disk is None else change.on_disk,
                "memory": before.memory if change.memory is None else change.memory,
            }
        )
    return dense if isinstance(config.vectors, Mapping) else dense.get("", config.vectors)


def _sparse(config: models.CreateCollection, given: Mapping[str, models.SparseVectorParams]) -> Any:
    known = dict(config.sparse_vectors or {})
    for name, change in given.items():
        if name not in known:
            raise ValueError(f"Vector {name} does not exist in the collection")
        before = known[name]
        known[name] = models.SparseVectorParams(
            index=over(before.index, change.index),
            modifier=before.modifier if change.modifier is None else change.modifier,
        )
    return known or config.sparse_vectors
