"""Upsert and upload points; set and delete payload and vectors; delete points.

Every method returns when its change is in the engine's write-ahead log, so that it survives the
process being killed; `wait` and `ordering` have no effect.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

import qdrant_edge as edge
from qdrant_client import models

from rdr_qdrant.embedded.convert.edge_enums import to_engine_enum
from rdr_qdrant.embedded.convert.edge_filters import to_engine_filter
from rdr_qdrant.embedded.convert.edge_points import (
    iterate_vectors,
    to_engine_id,
    to_engine_payload,
    to_engine_point,
    to_engine_points,
    to_engine_vectors,
)
from rdr_qdrant.embedded.convert.vector_validation import (
    DeclaredVectors,
    components_per_point,
    declared_vectors,
)
from rdr_qdrant.embedded.errors import refuse_unsupported
from rdr_qdrant.embedded.shard import Shard
from rdr_qdrant.embedded.storage import Storage

UPLOAD_BATCH_SIZE = 512
"""Points per operation of the engine in `upload_points` and `upload_collection`."""

COMPLETED = models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)
_Operation = edge.UpdateOperation


class WriteOperations:
    """Operations that change points. Parameters, answers and errors are `QdrantClient`'s."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def upsert(
        self,
        collection_name: str,
        points: Any,
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
        **parameters: Any,
    ) -> models.UpdateResult:
        refuse_unsupported("upsert", parameters)
        shard = self._storage.shard(collection_name)
        engine_points = list(to_engine_points(points, _declared(shard)))
        _upsert_batch(shard, engine_points, update_filter, update_mode)
        return COMPLETED.model_copy()

    def upload_points(
        self,
        collection_name: str,
        points: Iterable[models.PointStruct],
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
        **parameters: Any,
    ) -> None:
        refuse_unsupported("upload_points", parameters)
        shard = self._storage.shard(collection_name)
        engine_points = to_engine_points(points, _declared(shard))
        while batch := list(itertools.islice(engine_points, UPLOAD_BATCH_SIZE)):
            _upsert_batch(shard, batch, update_filter, update_mode)

    def upload_collection(
        self,
        collection_name: str,
        vectors: Any,
        payload: Iterable[dict[Any, Any]] | None = None,
        ids: Iterable[Any] | None = None,
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
        **parameters: Any,
    ) -> None:
        refuse_unsupported("upload_collection", parameters)
        shard = self._storage.shard(collection_name)
        rows = zip(
            (str(uuid4()) for _ in itertools.count()) if ids is None else ids,
            iterate_vectors(vectors, None),
            itertools.repeat(None) if payload is None else payload,
            strict=False,  # the shortest ends the upload, as in qdrant-client
        )
        declared = _declared(shard)
        engine_points = (to_engine_point(*row, declared) for row in rows)
        while batch := list(itertools.islice(engine_points, UPLOAD_BATCH_SIZE)):
            _upsert_batch(shard, batch, update_filter, update_mode)

    def update_vectors(
        self,
        collection_name: str,
        points: Sequence[models.PointVectors],
        update_filter: models.Filter | None = None,
        **parameters: Any,
    ) -> models.UpdateResult:
        refuse_unsupported("update_vectors", parameters)
        if not points:
            raise ValueError("must specify points to update")
        shard = self._storage.shard(collection_name)
        declared = _declared(shard)
        engine_points = [
            edge.PointVectors(to_engine_id(point.id), to_engine_vectors(point.vector, declared))
            for point in points
        ]
        components = len(engine_points) * components_per_point(declared)
        condition = to_engine_filter(update_filter)
        shard.update(_Operation.update_vectors(engine_points, condition), components)
        return COMPLETED.model_copy()

    def delete_vectors(
        self, collection_name: str, vectors: Sequence[str], points: Any, **parameters: Any
    ) -> models.UpdateResult:
        refuse_unsupported("delete_vectors", parameters)
        if not vectors:
            raise ValueError("must specify vector names to delete")
        return self._update_selected(
            collection_name,
            points,
            lambda ids: _Operation.delete_vectors(ids, list(vectors)),
            lambda condition: _Operation.delete_vectors_by_filter(condition, list(vectors)),
        )

    def delete(
        self, collection_name: str, points_selector: Any, **parameters: Any
    ) -> models.UpdateResult:
        refuse_unsupported("delete", parameters)
        self._empty_weighted_vectors(collection_name, points_selector)
        return self._update_selected(
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
        **parameters: Any,
    ) -> models.UpdateResult:
        refuse_unsupported("set_payload", parameters)
        values = to_engine_payload(payload)
        return self._update_selected(
            collection_name,
            points,
            lambda ids: _Operation.set_payload(ids, values, key),
            lambda condition: _Operation.set_payload_by_filter(condition, values, key),
        )

    def overwrite_payload(
        self, collection_name: str, payload: Mapping[str, Any], points: Any, **parameters: Any
    ) -> models.UpdateResult:
        refuse_unsupported("overwrite_payload", parameters)
        values = to_engine_payload(payload)
        return self._update_selected(
            collection_name,
            points,
            lambda ids: _Operation.overwrite_payload(ids, values),
            lambda condition: _Operation.overwrite_payload_by_filter(condition, values),
        )

    def delete_payload(
        self, collection_name: str, keys: Sequence[str], points: Any, **parameters: Any
    ) -> models.UpdateResult:
        refuse_unsupported("delete_payload", parameters)
        return self._update_selected(
            collection_name,
            points,
            lambda ids: _Operation.delete_payload(ids, list(keys)),
            lambda condition: _Operation.delete_payload_by_filter(condition, list(keys)),
        )

    def clear_payload(
        self, collection_name: str, points_selector: Any, **parameters: Any
    ) -> models.UpdateResult:
        refuse_unsupported("clear_payload", parameters)
        return self._update_selected(
            collection_name,
            points_selector,
            _Operation.clear_payload,
            _Operation.clear_payload_by_filter,
        )

    def batch_update_points(
        self,
        collection_name: str,
        update_operations: Sequence[models.UpdateOperation],
        **parameters: Any,
    ) -> list[models.UpdateResult]:
        refuse_unsupported("batch_update_points", parameters)
        return [self._apply(collection_name, operation) for operation in update_operations]

    def _apply(self, name: str, operation: models.UpdateOperation) -> models.UpdateResult:
        match operation:
            case models.UpsertOperation(upsert=request):
                points = (
                    request.batch if isinstance(request, models.PointsBatch) else request.points
                )
                return self.upsert(
                    name,
                    points,
                    request.update_filter,
                    request.update_mode,
                    shard_key_selector=request.shard_key,
                )
            case models.DeleteOperation(delete=selector):
                return self.delete(name, selector)
            case models.ClearPayloadOperation(clear_payload=selector):
                return self.clear_payload(name, selector)
            case models.SetPayloadOperation(set_payload=request):
                return self.set_payload(name, request.payload, _selector(request), request.key)
            case models.OverwritePayloadOperation(overwrite_payload=request):
                refuse_unsupported("batch_update_points", {"overwrite_payload.key": request.key})
                return self.overwrite_payload(name, request.payload, _selector(request))
            case models.DeletePayloadOperation(delete_payload=request):
                return self.delete_payload(name, request.keys, _selector(request))
            case models.UpdateVectorsOperation(update_vectors=request):
                return self.update_vectors(
                    name,
                    request.points,
                    request.update_filter,
                    shard_key_selector=request.shard_key,
                )
            case models.DeleteVectorsOperation(delete_vectors=request):
                return self.delete_vectors(name, request.vector, _selector(request))
        raise ValueError(f"Unsupported update operation: {type(operation)}")

    def _empty_weighted_vectors(self, collection_name: str, selector: Any) -> None:
        """Take the words of points that are to be deleted out of the document frequencies.

        The engine takes those of a vector that is replaced out at once, those of a deleted one
        only when the collection is opened again.
        """
        shard = self._storage.shard(collection_name)
        for name, params in _declared(shard).items():
            if getattr(params, "modifier", None) != models.Modifier.IDF:
                continue
            condition = models.Filter(
                must=[models.HasVectorCondition(has_vector=name), _as_filter(selector)]
            )
            for ids in _matching_ids(shard, condition):
                empty: dict[str, Any] = {name: edge.SparseVector([], [])}
                vectors = [edge.PointVectors(one, empty) for one in ids]
                shard.update(_Operation.update_vectors(vectors))

    def _update_selected(
        self,
        collection_name: str,
        selector: Any,
        by_ids: Callable[[Any], edge.UpdateOperation],
        by_filter: Callable[[edge.Filter], edge.UpdateOperation],
    ) -> models.UpdateResult:
        """Apply an operation to the points that `selector` lists or matches."""
        shard = self._storage.shard(collection_name)
        if isinstance(selector, models.PointIdsList | models.FilterSelector):
            refuse_unsupported("points_selector", {"shard_key": selector.shard_key})
        if isinstance(selector, models.FilterSelector):
            selector = selector.filter
        if isinstance(selector, models.PointIdsList):
            selector = selector.points
        if isinstance(selector, models.Filter):
            shard.update(by_filter(to_engine_filter(selector) or edge.Filter()))
        elif not isinstance(selector, list | tuple):
            raise ValueError(f"Unsupported selector type: {type(selector)}")
        elif not selector:
            raise ValueError("Empty update request")
        else:
            shard.update(by_ids([to_engine_id(point_id) for point_id in selector]))
        return COMPLETED.model_copy()


def _upsert_batch(
    shard: Shard,
    points: list[edge.Point],
    update_filter: models.Filter | None,
    update_mode: models.UpdateMode | None,
) -> None:
    if not points:
        raise ValueError("Empty update request")
    components = len(points) * components_per_point(_declared(shard))
    mode = to_engine_enum(edge.UpdateMode, update_mode)
    condition = to_engine_filter(update_filter)
    shard.update(_Operation.upsert_points(points, condition, mode), components)


def _as_filter(selector: Any) -> models.Filter:
    """The points that `selector` lists or matches, as a filter."""
    if isinstance(selector, models.FilterSelector):
        return selector.filter
    if isinstance(selector, models.Filter):
        return selector
    listed = selector.points if isinstance(selector, models.PointIdsList) else selector
    return models.Filter(must=[models.HasIdCondition(has_id=list(listed))])


def _matching_ids(shard: Shard, condition: models.Filter) -> Iterator[list[Any]]:
    """Yield the engine's ids of the points that match, in pages."""
    offset = None
    while True:
        request = edge.ScrollRequest(
            offset=offset,
            limit=UPLOAD_BATCH_SIZE,
            filter=to_engine_filter(condition),
            with_payload=False,
            with_vector=False,
        )
        with shard.engine("scroll") as engine:
            records, offset = engine.scroll(request)
        if records:
            yield [record.id for record in records]
        if offset is None:
            return


def _declared(shard: Shard) -> DeclaredVectors:
    return declared_vectors(shard.config.params)


def _selector(request: Any) -> Any:
    """The points that an operation of a batch is for: ids, or else a filter."""
    refuse_unsupported("batch_update_points", {"shard_key": request.shard_key})
    if request.points is None and request.filter is None:
        raise ValueError("No filter or points provided")
    return request.filter if request.points is None else request.points
