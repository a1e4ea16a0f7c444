"""The client's methods on collections: create, describe, change, delete; aliases; indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import qdrant_edge as edge
from pydantic_core import to_jsonable_python
from qdrant_client import models
from qdrant_client.client_base import QdrantBase

from rdr_qdrant.embedded.collection_description import describe
from rdr_qdrant.embedded.config_update import changed
from rdr_qdrant.embedded.convert.edge_config import (
    to_engine_modifier,
    to_engine_multivector,
)
from rdr_qdrant.embedded.convert.edge_enums import to_engine_enum
from rdr_qdrant.embedded.convert.edge_indexes import schema_to_json, to_engine_schema
from rdr_qdrant.embedded.convert.optional import if_given
from rdr_qdrant.embedded.convert.vector_validation import declared_vectors
from rdr_qdrant.embedded.engine_config import CollectionSettings
from rdr_qdrant.embedded.errors import not_supported, refuse_extras
from rdr_qdrant.embedded.shard import Collection
from rdr_qdrant.embedded.storage import Folder
from rdr_qdrant.embedded.write_operations import DONE


class Administering(QdrantBase):
    """What concerns whole collections. Parameters, answers and errors are `QdrantClient`'s."""

    folder: Folder

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
        **extras: Any,
    ) -> bool:
        refuse_extras("create_collection", extras)
        if strict_mode_config is not None and strict_mode_config.enabled:
            refuse_extras("create_collection", {"strict_mode_config": strict_mode_config})
        vectors = dict(vectors_config) if isinstance(vectors_config, Mapping) else vectors_config
        config = models.CreateCollection(
            vectors=vectors or {},
            sparse_vectors=if_given(sparse_vectors_config, dict),
            on_disk_payload=on_disk_payload,
            hnsw_config=hnsw_config,
            optimizers_config=optimizers_config,
            quantization_config=quantization_config,
            metadata=to_jsonable_python(metadata),
            payload=payload,
            id_tracker=id_tracker,
        )
        for name, params in declared_vectors(config).items():
            _check_vector(name, params)
        self.folder.create(collection_name, config)
        return True

    def recreate_collection(
        self, collection_name: str, vectors_config: Any = None, **settings: Any
    ) -> bool:
        self.folder.delete(collection_name)
        return self.create_collection(collection_name, vectors_config, **settings)

    def collection_exists(self, collection_name: str, **extras: Any) -> bool:
        return collection_name in {*self.folder.names(), *self.folder.aliases}

    def get_collections(self, **extras: Any) -> models.CollectionsResponse:
        described = [models.CollectionDescription(name=name) for name in self.folder.names()]
        return models.CollectionsResponse(collections=described)

    def get_collection(self, collection_name: str, **extras: Any) -> models.CollectionInfo:
        collection = self.folder.collection(collection_name)
        with collection.shard("describe") as shard:
            return describe(collection.settings, shard.info())

    def delete_collection(self, collection_name: str, **extras: Any) -> bool:
        refuse_extras("delete_collection", extras)
        return self.folder.delete(collection_name)

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
        **extras: Any,
    ) -> bool:
        refuse_extras("update_collection", extras)
        collection = self.folder.collection(collection_name)
        before = collection.settings
        config = changed(
            before.config,
            vectors=vectors_config,
            sparse_vectors=sparse_vectors_config,
            optimizers=optimizers_config,
            params=collection_params,
            hnsw=hnsw_config,
            quantization=quantization_config,
            metadata=to_jsonable_python(metadata),
        )
        after = CollectionSettings(before.name, config, before.indexes)
        if config.model_copy(update={"metadata": before.config.metadata}) == before.config:
            collection.save_settings(after)
        else:
            collection.reconfigure(after)
        return True

    def update_collection_aliases(
        self, change_aliases_operations: Sequence[models.AliasOperations], **extras: Any
    ) -> bool:
        refuse_extras("update_collection_aliases", extras)
        self.folder.change_aliases(list(change_aliases_operations))
        return True

    def get_aliases(self, **extras: Any) -> models.CollectionsAliasesResponse:
        described = [
            models.AliasDescription(alias_name=alias, collection_name=name)
            for alias, name in self.folder.aliases.items()
        ]
        return models.CollectionsAliasesResponse(aliases=described)

    def get_collection_aliases(
        self, collection_name: str, **extras: Any
    ) -> models.CollectionsAliasesResponse:
        every = self.get_aliases().aliases
        own = [alias for alias in every if alias.collection_name == collection_name]
        return models.CollectionsAliasesResponse(aliases=own)

    def create_payload_index(
        self,
        collection_name: str,
        field_name: str,
        field_schema: Any = None,
        field_type: Any = None,
        **extras: Any,
    ) -> models.UpdateResult:
        refuse_extras("create_payload_index", extras)
        schema = field_type if field_schema is None else field_schema
        if schema is None:
            raise not_supported(
                "create_payload_index() without `field_schema`", "pass a models.PayloadSchemaType"
            )
        collection = self.folder.collection(collection_name)
        operation = edge.UpdateOperation.create_field_index(field_name, to_engine_schema(schema))
        collection.update(operation)
        indexes = {**collection.settings.indexes, field_name: schema_to_json(schema)}
        _save(collection, indexes=indexes)
        return DONE.model_copy()

    def delete_payload_index(
        self, collection_name: str, field_name: str, **extras: Any
    ) -> models.UpdateResult:
        refuse_extras("delete_payload_index", extras)
        collection = self.folder.collection(collection_name)
        collection.update(edge.UpdateOperation.delete_field_index(field_name))
        kept = collection.settings.indexes
        _save(collection, indexes={name: kept[name] for name in kept if name != field_name})
        return DONE.model_copy()

    def create_vector_name(
        self, collection_name: str, vector_name: str, vector_name_config: Any, **extras: Any
    ) -> models.UpdateResult:
        refuse_extras("create_vector_name", extras)
        collection = self.folder.collection(collection_name)
        config = collection.settings.config
        if vector_name in declared_vectors(config):
            raise ValueError(f"Vector {vector_name} already exists")
        match vector_name_config:
            case models.DenseVectorNameConfig(dense=dense):
                params = models.VectorParams(**dense.model_dump(mode="json", exclude_none=True))
                _check_vector(vector_name, params)
                distance = to_engine_enum(edge.Distance, dense.distance)
                assert distance is not None
                operation = edge.UpdateOperation.create_dense_vector(
                    vector_name,
                    dense.size,
                    distance,
                    to_engine_multivector(dense.multivector_config),
                    to_engine_enum(edge.VectorStorageDatatype, dense.datatype),
                )
                present = config.vectors or {}
                present = present if isinstance(present, Mapping) else {"": present}
                update: dict[str, Any] = {"vectors": {**present, vector_name: params}}
            case models.SparseVectorNameConfig(sparse=sparse):
                operation = edge.UpdateOperation.create_sparse_vector(
                    vector_name,
                    to_engine_modifier(sparse.modifier),
                    to_engine_enum(edge.VectorStorageDatatype, sparse.datatype),
                )
                params_sparse = models.SparseVectorParams(modifier=sparse.modifier)
                update = {
                    "sparse_vectors": {**(config.sparse_vectors or {}), vector_name: params_sparse}
                }
            case _:
                raise ValueError(f"Unsupported vector name config type: {type(vector_name_config)}")
        collection.update(operation)
        _save(collection, config=config.model_copy(update=update))
        return DONE.model_copy()

    def delete_vector_name(
        self, collection_name: str, vector_name: str, **extras: Any
    ) -> models.UpdateResult:
        refuse_extras("delete_vector_name", extras)
        collection = self.folder.collection(collection_name)
        config = collection.settings.config
        if vector_name not in declared_vectors(config):
            raise ValueError(f"Vector {vector_name} does not exist in the collection")
        collection.update(edge.UpdateOperation.delete_vector_name(vector_name))
        dense = config.vectors if isinstance(config.vectors, Mapping) else {"": config.vectors}
        left = {
            "vectors": {name: one for name, one in dense.items() if name != vector_name},
            "sparse_vectors": {
                name: one
                for name, one in (config.sparse_vectors or {}).items()
                if name != vector_name
            },
        }
        _save(collection, config=config.model_copy(update=left))
        return DONE.model_copy()

    def info(self) -> models.VersionInfo:
        engine = self.folder.engine
        return models.VersionInfo(title=f"qdrant edge ({engine})", version=engine.split()[-1])


def _save(
    collection: Collection,
    config: models.CreateCollection | None = None,
    indexes: dict[str, Any] | None = None,
) -> None:
    now = collection.settings
    collection.save_settings(
        CollectionSettings(
            now.name, config or now.config, now.indexes if indexes is None else indexes
        )
    )


def _check_vector(name: str, params: models.VectorParams | models.SparseVectorParams) -> None:
    """The server's rules for a new vector: its name becomes that of a folder."""
    if len(name.encode()) > 200 or name in (".", "..") or set(name) & set('<>:"/\\|?*\0\x1f'):
        raise ValueError(f"Invalid vector name `{name}`: at most 200 bytes, no path characters")
    if isinstance(params, models.SparseVectorParams):
        if not name:
            raise ValueError("Sparse vector name cannot be empty")
    elif not 1 <= params.size <= 65536:
        raise ValueError(f"Vector size {params.size} is invalid. Must be from 1 to 65536.")
