"""The engine's answers as qdrant-client's models.

Points are built with `model_construct`: the engine's values have the right types already, and
validating every component of every vector again would cost more than the search.
"""

from __future__ import annotations

import uuid
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from rdr_qdrant.embedded.config_files import ShardConfig
from rdr_qdrant.embedded.convert.edge_config import (
    HNSW_DEFAULTS,
    OPTIMIZER_DEFAULTS,
    merge_settings,
)
from rdr_qdrant.embedded.convert.edge_indexes import to_index_info
from rdr_qdrant.embedded.errors import not_supported


def to_with_payload(with_payload: Any) -> edge.WithPayloadType:
    """The part of the payload to return: all, none, the fields of a list, or a selector."""
    match with_payload:
        case None:
            return False
        case bool():
            return with_payload
        case models.PayloadSelectorInclude(include=fields):
            return edge.PayloadSelector.Include(fields)
        case models.PayloadSelectorExclude(exclude=fields):
            return edge.PayloadSelector.Exclude(fields)
        case list() | tuple():
            return edge.PayloadSelector.Include(list(with_payload))
    raise not_supported(f"with_payload={with_payload!r}", "pass a bool, a list or a selector")


def to_with_vector(with_vectors: Any) -> edge.WithVectorType:
    """The vectors to return: all, none, or those named."""
    if with_vectors is None or isinstance(with_vectors, bool):
        return bool(with_vectors)
    return list(with_vectors)


def to_record(record: edge.Record) -> models.Record:
    """A stored point, as `retrieve` and `scroll` return it."""
    return models.Record.model_construct(
        id=to_client_id(record.id),
        payload=record.payload,
        vector=to_client_vectors(record.vector),
        shard_key=None,
        order_value=record.order_value,
    )


def to_scored_point(point: edge.ScoredPoint, with_vector: bool) -> models.ScoredPoint:
    """A point found by a query. The engine returns vectors with MMR always, hence `with_vector`."""
    return models.ScoredPoint.model_construct(
        id=to_client_id(point.id),
        version=point.version,
        score=point.score,
        payload=point.payload,
        vector=to_client_vectors(point.vector) if with_vector else None,
        shard_key=None,
        order_value=point.order_value,
    )


def to_client_id(point_id: Any) -> int | str:
    """An id as qdrant-client returns it: an integer, or a UUID as a string."""
    return str(point_id) if isinstance(point_id, uuid.UUID | str) else int(point_id)


def to_client_vectors(vector: Any) -> Any:
    """A point's vector, or its vectors by name; None where none were requested."""
    if isinstance(vector, dict):
        return {name: to_client_vector(value) for name, value in vector.items()}
    return to_client_vector(vector)


def to_client_vector(vector: Any) -> Any:
    """One vector: a list, a list of lists, or a `models.SparseVector`."""
    if isinstance(vector, edge.SparseVector):
        return models.SparseVector(indices=vector.indices, values=vector.values)
    return vector


def to_collection_info(config: ShardConfig, engine_info: edge.ShardInfo) -> models.CollectionInfo:
    """A collection as `get_collection` describes it.

    Settings that were never given are shown with the engine's defaults. The status is always
    green: the engine does nothing in the background.
    """
    params = config.params.model_copy(deep=True)
    return models.CollectionInfo(
        status=models.CollectionStatus.GREEN,
        optimizer_status=models.OptimizersStatusOneOf.OK,
        indexed_vectors_count=engine_info.indexed_vectors_count,
        points_count=engine_info.points_count,
        segments_count=engine_info.segments_count,
        payload_schema={
            name: to_index_info(index, config.payload_indexes.get(name))
            for name, index in engine_info.payload_schema.items()
        },
        config=models.CollectionConfig(
            params=models.CollectionParams(
                vectors=params.vectors,
                sparse_vectors=params.sparse_vectors,
                shard_number=1,
                replication_factor=1,
                write_consistency_factor=1,
                on_disk_payload=params.on_disk_payload is not False,
                payload=params.payload,
                id_tracker=params.id_tracker,
            ),
            hnsw_config=merge_settings(HNSW_DEFAULTS, params.hnsw_config),
            optimizer_config=merge_settings(
                OPTIMIZER_DEFAULTS, _without_auto(params.optimizers_config)
            ),
            wal_config=models.WalConfig(wal_capacity_mb=32, wal_segments_ahead=0),
            quantization_config=params.quantization_config,
            metadata=params.metadata,
        ),
    )


def _without_auto(
    config: models.OptimizersConfigDiff | None,
) -> models.OptimizersConfigDiff | None:
    """Drop a `max_optimization_threads` of "auto", which `models.OptimizersConfig` cannot hold."""
    if config is None or isinstance(config.max_optimization_threads, int | None):
        return config
    return config.model_copy(update={"max_optimization_threads": None})
