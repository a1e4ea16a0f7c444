"""The client's writing methods: upserts, uploads, payload, vectors, deletions.

Every method returns when its change is in the engine's write-ahead log, so it outlives the
process being killed; `wait` and `ordering` change nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

import qdrant_edge as edge
from qdrant_client import models
from qdrant_client.client_base import QdrantBase

from rdr_qdrant.embedded.convert.edge_enums import to_engine_enum
from rdr_qdrant.embedded.convert.edge_filters import to_engine_filter
from rdr_qdrant.embedded.convert.edge_points import (
    to_engine_id,
    to_engine_payload,
    to_engine_point,
    to_engine_points,
    to_engine_vectors,
    vector_rows,
)
from rdr_qdrant.embedded.convert.vector_validation import (
    Declared,
    declared_vectors,
    numbers_per_point,
)
from rdr_qdrant.embedded.errors import refuse_extras
from rdr_qdrant.embedded.shard import Collection
from rdr_qdrant.embedded.storage import Folder

# Points handed to the engine in one operation by the uploads.
UPLOAD_BATCH = 512

DONE = models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)
_Operation = edge.UpdateOperation


class Writing(QdrantBase):
    """What changes points. Parameters, answers and errors are `QdrantClient`'s."""

    folder: Folder

    def upsert(
        self,
        collection_name: str,
        points: Any,
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
        **extras: Any,
    ) -> models.UpdateResult:
        refuse_extras("upsert", extras)
        collection = self.folder.collection(collection_name)
        self._upsert(
            collection,
            list(to_engine_points(points, _declared(collection))),
            update_filter,
            update_mode,
        )
        return DONE.model_copy()

    def upload_points(
        self,
        collection_name: str,
        points: Iterable[models.PointStruct],
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
        **extras: Any,
    ) -> None:
        refuse_extras("upload_points", extras)
        collection = self.folder.collection(collection_name)
        ready = to_engine_points(points, _declared(collection))
        while batch := list(itertools.islice(ready, UPLOAD_BATCH)):
            self._upsert(collection, batch, update_filter, update_mode)

    def upload_collection(
        self,
        collection_name: str,
        vectors: Any,
        payload: Iterable[dict[Any, Any]] | None = None,
        ids: Iterable[Any] | None = None,
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
        **extras: Any,
    ) -> None:
        refuse_extras("upload_collection", extras)
        collection = self.folder.collection(collection_name)
        rows = zip(
            (str(uuid4()) for _ in itertools.count()) if ids is None else ids,
            vector_rows(vectors, None),
            itertools.repeat(None) if payload is None else payload,
            strict=False,  # ids or payload that end first end the upload, as in the client
        )
        declared = _declared(collection)
        ready = (to_engine_point(*row, declared) for row in rows)
        while batch := list(itertools.islice(ready, UPLOAD_BATCH)):
            self._upsert(collection, batch, update_filter, update_mode)

    def update_vectors(
        self,
        collection_name: str,
        points: Sequence[models.PointVectors],
        update_filter: models.Filter | None = None,
        **extras: Any,
    ) -> models.UpdateResult:
        refuse_extras("update_vectors", extras)
        if not points:
            raise ValueError("must specify points to update")
        collection = self.folder.collection(collection_name)
        declared = _declared(collection)
        ready = [
            edge.PointVectors(to_engine_id(point.id), to_engine_vectors(point.vector, declared))
            for point in points
        ]
        numbers = len(ready) * numbers_per_point(declared)
        condition = to_engine_filter(update_filter)
        collection.update(_Operation.update_vectors(ready, condition), numbers)
        return DONE.model_copy()

    def delete_vectors(
        self, collection_name: str, vectors: Sequence[str], points: Any, **extras: Any
    ) -> models.UpdateResult:
        refuse_extras("delete_vectors", extras)
        if not vectors:
            raise ValueError("must specify vector names to delete")
        return self._selected(
            collection_name,
            points,
            lambda ids: _Operation.delete_vectors(ids, list(vectors)),
            lambda chosen: _Operation.delete_vectors_by_filter(chosen, list(vectors)),
        )

    def delete(
        self, collection_name: str, points_selector: Any, **extras: Any
    ) -> models.UpdateResult:
        refuse_extras("delete", extras)
        return self._selected(
            collection_name,
            points_selector,
            _Operation.delete_points,
            _Operation.delete_points_by_filter,
        )

    def set_payload(
        self,
        collection_name: str,
        payload: Mapping[str, Any],
        points: Any,
        key: str | None = None,
        **extras: Any,
    ) -> models.UpdateResult:
        refuse_extras("set_payload", extras)
        content = to_engine_payload(payload)
        return self._selected(
            collection_name,
            points,
            lambda ids: _Operation.set_payload(ids, content, key),
            lambda chosen: _Operation.set_payload_by_filter(chosen, content, key),
        )

    def overwrite_payload(
        self, collection_name: str, payload: Mapping[str, Any], points: Any, **extras: Any
    ) -> models.UpdateResult:
        refuse_extras("overwrite_payload", extras)
        content = to_engine_payload(payload)
        return self._selected(
            collection_name,
            points,
            lambda ids: _Operation.overwrite_payload(ids, content),
            lambda chosen: _Operation.overwrite_payload_by_filter(chosen, content),
        )

    def delete_payload(
        self, collection_name: str, keys: Sequence[str], points: Any, **extras: Any
    ) -> models.UpdateResult:
        refuse_extras("delete_payload", extras)
        return self._selected(
            collection_name,
            points,
            lambda ids: _Operation.delete_payload(ids, list(keys)),
            lambda chosen: _Operation.delete_payload_by_filter(chosen, list(keys)),
        )

    def clear_payload(
        self, collection_name: str, points_selector: Any, **extras: Any
    ) -> models.UpdateResult:
        refuse_extras("clear_payload", extras)
        return self._selected(
            collection_name,
            points_selector,
            _Operation.clear_payload,
            _Operation.clear_payload_by_filter,
        )

    def batch_update_points(
        self,
        collection_name: str,
        update_operations: Sequence[models.UpdateOperation],
        **extras: Any,
    ) -> list[models.UpdateResult]:
        refuse_extras("batch_update_points", extras)
        return [self._apply(collection_name, operation) for operation in update_operations]

    def _apply(self, name: str, operation: models.UpdateOperation) -> models.UpdateResult:
        match operation:
            case models.UpsertOperation(upsert=asked):
                points = asked.batch if isinstance(asked, models.PointsBatch) else asked.points
                extras = {"shard_key_selector": asked.shard_key}
                return self.upsert(name, points, asked.update_filter, asked.update_mode, **extras)
            case models.DeleteOperation(delete=chosen):
                return self.delete(name, chosen)
            case models.ClearPayloadOperation(clear_payload=chosen):
                return self.clear_payload(name, chosen)
            case models.SetPayloadOperation(set_payload=asked):
                return self.set_payload(name, asked.payload, _chosen(asked), asked.key)
            case models.OverwritePayloadOperation(overwrite_payload=asked):
                refuse_extras("batch_update_points", {"overwrite_payload.key": asked.key})
                return self.overwrite_payload(name, asked.payload, _chosen(asked))
            case models.DeletePayloadOperation(delete_payload=asked):
                return self.delete_payload(name, asked.keys, _chosen(asked))
            case models.UpdateVectorsOperation(update_vectors=asked):
                extras = {"shard_key_selector": asked.shard_key}
                return self.update_vectors(name, asked.points, asked.update_filter, **extras)
            case models.DeleteVectorsOperation(delete_vectors=asked):
                return self.delete_vectors(name, asked.vector, _chosen(asked))
        raise ValueError(f"Unsupported update operation: {type(operation)}")

    def _upsert(
        self,
        collection: Collection,
        points: list[edge.Point],
        update_filter: models.Filter | None,
        update_mode: models.UpdateMode | None,
    ) -> None:
        if not points:
            raise ValueError("Empty update request")
        numbers = len(points) * numbers_per_point(_declared(collection))
        mode = to_engine_enum(edge.UpdateMode, update_mode)
        condition = to_engine_filter(update_filter)
        collection.update(_Operation.upsert_points(points, condition, mode), numbers)

    def _selected(
        self,
        name: str,
        selector: Any,
        by_ids: Callable[[Any], edge.UpdateOperation],
        by_filter: Callable[[edge.Filter], edge.UpdateOperation],
    ) -> models.UpdateResult:
        """Do an operation on the points that `selector` names or describes."""
        collection = self.folder.collection(name)
        if isinstance(selector, models.PointIdsList | models.FilterSelector):
            refuse_extras("points_selector", {"shard_key": selector.shard_key})
        if isinstance(selector, models.FilterSelector):
            selector = selector.filter
        if isinstance(selector, models.PointIdsList):
            selector = selector.points
        if isinstance(selector, models.Filter):
            collection.update(by_filter(to_engine_filter(selector) or edge.Filter()))
        elif not isinstance(selector, list | tuple):
            raise ValueError(f"Unsupported selector type: {type(selector)}")
        elif not selector:
            raise ValueError("Empty update request")
        else:
            collection.update(by_ids([to_engine_id(one) for one in selector]))
        return DONE.model_copy()


def _declared(collection: Collection) -> Declared:
    return declared_vectors(collection.settings.config)


def _chosen(asked: Any) -> Any:
    """The points an operation of a batch is for: ids, or else a filter."""
    refuse_extras("batch_update_points", {"shard_key": asked.shard_key})
    if asked.points is None and asked.filter is None:
        raise ValueError("No filter or points provided")
    return asked.filter if asked.points is None else asked.points
