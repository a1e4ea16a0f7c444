"""What `get_collection` says: the settings file and the engine's counts as a `CollectionInfo`."""

from __future__ import annotations

import qdrant_edge as edge
from qdrant_client import models

from rdr_qdrant.embedded.config_update import over
from rdr_qdrant.embedded.convert.edge_config import HNSW, OPTIMIZERS
from rdr_qdrant.embedded.convert.edge_indexes import to_index_info
from rdr_qdrant.embedded.engine_config import CollectionSettings


def describe(settings: CollectionSettings, counts: edge.ShardInfo) -> models.CollectionInfo:
    """The collection as the client describes one.

    Settings never given are shown with the engine's defaults. The status is always green: the
    engine does nothing in the background.
    """
    config = settings.config
    copy = config.model_copy(deep=True)
    return models.CollectionInfo(
        status=models.CollectionStatus.GREEN,
        optimizer_status=models.OptimizersStatusOneOf.OK,
        indexed_vectors_count=counts.indexed_vectors_count,
        points_count=counts.points_count,
        segments_count=counts.segments_count,
        payload_schema={
            name: to_index_info(info, settings.indexes.get(name))
            for name, info in counts.payload_schema.items()
        },
        config=models.CollectionConfig(
            params=models.CollectionParams(
                vectors=copy.vectors,
                sparse_vectors=copy.sparse_vectors,
                shard_number=1,
                replication_factor=1,
                write_consistency_factor=1,
                on_disk_payload=config.on_disk_payload is not False,
                payload=copy.payload,
                id_tracker=copy.id_tracker,
            ),
            hnsw_config=over(HNSW, config.hnsw_config),
            optimizer_config=over(OPTIMIZERS, _plain(config.optimizers_config)),
            wal_config=models.WalConfig(wal_capacity_mb=32, wal_segments_ahead=0),
            quantization_config=copy.quantization_config,
            metadata=copy.metadata,
        ),
    )


def _plain(given: models.OptimizersConfigDiff | None) -> models.OptimizersConfigDiff | None:
    """Without the setting that has no plain value in a description ("auto")."""
    if given is None or isinstance(given.max_optimization_threads, int | None):
        return given
    return given.model_copy(update={"max_optimization_threads": None})
