"""Create, describe, update and delete collections; aliases; payload indexes; named vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from rdr_qdrant.embedded.config_files import ShardConfig
from rdr_qdrant.embedded.config_update import apply_update
from rdr_qdrant.embedded.convert.edge_config import (
    to_engine_modifier,
    to_engine_multivector,
)
from rdr_qdrant.embedded.convert.edge_enums import to_engine_enum
from rdr_qdrant.embedded.convert.edge_indexes import schema_to_json, to_engine_schema
from rdr_qdrant.embedded.convert.edge_points import to_engine_payload
from rdr_qdrant.embedded.convert.results import to_collection_info
from rdr_qdrant.embedded.convert.vector_validation import declared_vectors
from rdr_qdrant.embedded.errors import not_supported, refuse_unsupported
from rdr_qdrant.embedded.storage import Storage
from rdr_qdrant.embedded.write_operations import COMPLETED


class CollectionOperations:
    """Operations on whole collections. Parameters, answers and errors are `QdrantClient`'s."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def create_collection(
        self,
        collection_name: str,
        vectors_config: Any = None,
        sparse_vectors_config: Mapping[str, models.SparseVectorParams] | None = None,
        on_disk_payload: bool | None = None,
        hnsw_config: models.HnswConfigDiff | None = None,
        optimizers_config: models.OptimizersConfigDiff | None = None,
        quantization_config: models.QuantizationConfig | None = None,
        metadata: dict[str, Any] | None = None,
        payload: models.PayloadStorageParams | None = None,
        id_tracker: models.IdTrackerParams | None = None,
        strict_mode_config: models.StrictModeConfig | None = None,
        **parameters: Any,
    ) -> bool:
        refuse_unsupported("create_collection", parameters)
        if strict_mode_config is not None and strict_mode_config.enabled:
            refuse_unsupported("create_collection", {"strict_mode_config": strict_mode_config})
        vectors = dict(vectors_config) if isinstance(vectors_config, Mapping) else vectors_config
        sparse = None if sparse_vectors_config is None else dict(sparse_vectors_config)
        params = models.CreateCollection(
            vectors=vectors or {},
            sparse_vectors=sparse,
            on_disk_payload=on_disk_payload,
            hnsw_config=hnsw_config,
            optimizers_config=optimizers_config,
            quantization_config=quantization_config,
            metadata=_metadata(metadata),
            payload=payload,
            id_tracker=id_tracker,
        )
        for name, vector_params in declared_vectors(params).items():
            _check_vector_params(name, vector_params)
        self._storage.create(collection_name, params)
        return True

    def recreate_collection(
        self, collection_name: str, vectors_config: Any = None, **parameters: Any
    ) -> bool:
        self._storage.delete(collection_name)
        return self.create_collection(collection_name, vectors_config, **parameters)

    def collection_exists(self, collection_name: str, **parameters: Any) -> bool:
        return collection_name in {*self._storage.names(), *self._storage.aliases}

    def get_collections(self, **parameters: Any) -> models.CollectionsResponse:
        collections = [models.CollectionDescription(name=name) for name in self._storage.names()]
        return models.CollectionsResponse(collections=collections)

    def get_collection(self, collection_name: str, **parameters: Any) -> models.CollectionInfo:
        shard = self._storage.shard(collection_name)
        with shard.engine("describe") as engine:
            return to_collection_info(shard.config, engine.info())

    def delete_collection(self, collection_name: str, **parameters: Any) -> bool:
        refuse_unsupported("delete_collection", parameters)
        return self._storage.delete(collection_name)

    def update_collection(
        self,
        collection_name: str,
        sparse_vectors_config: Mapping[str, models.SparseVectorParams] | None = None,
        metadata: dict[str, Any] | None = None,
        vectors_config: Any = None,
        optimizers_config: models.OptimizersConfigDiff | None = None,
        collection_params: models.CollectionParamsDiff | None = None,
        hnsw_config: models.HnswConfigDiff | None = None,
        quantization_config: models.QuantizationConfigDiff | None = None,
        **parameters: Any,
    ) -> bool:
        refuse_unsupported("update_collection", parameters)
        settings = {
            "vectors": vectors_config,
            "sparse_vectors": sparse_vectors_config,
            "optimizers": optimizers_config,
            "collection": collection_params,
            "hnsw": hnsw_config,
            "quantization": quantization_config,
        }

        def change(config: ShardConfig) -> ShardConfig:
            params = apply_update(config.params, **settings, metadata=_metadata(metadata))
            return replace(config, params=params)

        reopen = any(setting is not None for setting in settings.values())
        self._storage.shard(collection_name).change_config(change, reopen)
        return True

    def update_collection_aliases(
        self, change_aliases_operations: Sequence[models.AliasOperations], **parameters: Any
    ) -> bool:
        refuse_unsupported("update_collection_aliases", parameters)
        self._storage.change_aliases(list(change_aliases_operations))
        return True

    def get_aliases(self, **parameters: Any) -> models.CollectionsAliasesResponse:
        aliases = [
            models.AliasDescription(alias_name=alias, collection_name=name)
            for alias, name in self._storage.aliases.items()
        ]
        return models.CollectionsAliasesResponse(aliases=aliases)

    def get_collection_aliases(
        self, collection_name: str, **parameters: Any
    ) -> models.CollectionsAliasesResponse:
        aliases = [
            alias
            for alias in self.get_aliases().aliases
            if alias.collection_name == collection_name
        ]
        return models.CollectionsAliasesResponse(aliases=aliases)

    def create_payload_index(
        self,
        collection_name: str,
        field_name: str,
        field_schema: Any = None,
        field_type: Any = None,
        **parameters: Any,
    ) -> models.UpdateResult:
        refuse_unsupported("create_payload_index", parameters)
        schema = field_type if field_schema is None else field_schema
        if schema is None:
            raise not_supported(
                "create_payload_index() without `field_schema`", "pass a models.PayloadSchemaType"
            )
        shard = self._storage.shard(collection_name)
        shard.update(edge.UpdateOperation.create_field_index(field_name, to_engine_schema(schema)))
        shard.change_config(
            lambda config: replace(
                config,
                payload_indexes={**config.payload_indexes, field_name: schema_to_json(schema)},
            )
        )
        return COMPLETED.model_copy()

    def delete_payload_index(
        self, collection_name: str, field_name: str, **parameters: Any
    ) -> models.UpdateResult:
        refuse_unsupported("delete_payload_index", parameters)
        shard = self._storage.shard(collection_name)
        shard.update(edge.UpdateOperation.delete_field_index(field_name))
        shard.change_config(
            lambda config: replace(
                config,
                payload_indexes={
                    name: schema
                    for name, schema in config.payload_indexes.items()
                    if name != field_name
                },
            )
        )
        return COMPLETED.model_copy()

    def create_vector_name(
        self, collection_name: str, vector_name: str, vector_name_config: Any, **parameters: Any
    ) -> models.UpdateResult:
        refuse_unsupported("create_vector_name", parameters)
        shard = self._storage.shard(collection_name)
        if vector_name in declared_vectors(shard.config.params):
            raise ValueError(f"Vector {vector_name} already exists")
        match vector_name_config:
            case models.DenseVectorNameConfig(dense=dense):
                dense_params = models.VectorParams(
                    **dense.model_dump(mode="json", exclude_none=True)
                )
                _check_vector_params(vector_name, dense_params)
                distance = to_engine_enum(edge.Distance, dense.distance)
                assert distance is not None
                operation = edge.UpdateOperation.create_dense_vector(
                    vector_name,
                    dense.size,
                    distance,
                    to_engine_multivector(dense.multivector_config),
                    to_engine_enum(edge.VectorStorageDatatype, dense.datatype),
                )
                added: dict[str, Any] = {"vectors": {vector_name: dense_params}}
            case models.SparseVectorNameConfig(sparse=sparse):
                operation = edge.UpdateOperation.create_sparse_vector(
                    vector_name,
                    to_engine_modifier(sparse.modifier),
                    to_engine_enum(edge.VectorStorageDatatype, sparse.datatype),
                )
                sparse_params = models.SparseVectorParams(modifier=sparse.modifier)
                added = {"sparse_vectors": {vector_name: sparse_params}}
            case _:
                raise ValueError(f"Unsupported vector name config type: {type(vector_name_config)}")
        shard.update(operation)
        shard.change_config(lambda config: _with_vectors(config, **added))
        return COMPLETED.model_copy()

    def delete_vector_name(
        self, collection_name: str, vector_name: str, **parameters: Any
    ) -> models.UpdateResult:
        refuse_unsupported("delete_vector_name", parameters)
        shard = self._storage.shard(collection_name)
        if vector_name not in declared_vectors(shard.config.params):
            raise ValueError(f"Vector {vector_name} does not exist in the collection")
        shard.update(edge.UpdateOperation.delete_vector_name(vector_name))
        shard.change_config(lambda config: _with_vectors(config, without=vector_name))
        return COMPLETED.model_copy()

    def info(self) -> models.VersionInfo:
        engine = self._storage.engine
        return models.VersionInfo(title=f"qdrant edge ({engine})", version=engine.split()[-1])


def _metadata(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if metadata is None else to_engine_payload(metadata)


def _with_vectors(
    config: ShardConfig,
    vectors: Mapping[str, models.VectorParams] | None = None,
    sparse_vectors: Mapping[str, models.SparseVectorParams] | None = None,
    without: str | None = None,
) -> ShardConfig:
    """`config` with these vectors besides its own, and without the one named `without`."""
    params = config.params
    dense = params.vectors or {}
    dense = dense if isinstance(dense, Mapping) else {"": dense}
    changed: dict[str, dict[str, Any]] = {
        "vectors": {**dense, **(vectors or {})},
        "sparse_vectors": {**(params.sparse_vectors or {}), **(sparse_vectors or {})},
    }
    if without is not None:
        for kind in changed.values():
            kind.pop(without, None)
    return replace(config, params=params.model_copy(update=changed))


def _check_vector_params(
    name: str, params: models.VectorParams | models.SparseVectorParams
) -> None:
    """Apply the server's rules for a new vector, whose name becomes that of a folder."""
    if len(name.encode()) > 200 or name in (".", "..") or set(name) & set('<>:"/\\|?*\0\x1f'):
        raise ValueError(f"Invalid vector name `{name}`: at most 200 bytes, no path characters")
    if isinstance(params, models.SparseVectorParams):
        if not name:
            raise ValueError("Sparse vector name cannot be empty")
    elif not 1 <= params.size <= 65536:
        raise ValueError(f"Vector size {params.size} is invalid. Must be from 1 to 65536.")
