"""Upsert and upload points; set and delete payload and vectors; delete points.

Every method returns when its change is in the engine's write-ahead log, so that it survives the
process being killed; `wait` and `ordering` have no effect.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
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
        for name in vectors:
            if name not in _declared(self._storage.shard(collection_name)):
                raise ValueError(f"Wrong input: Not existing vector name error: {name}")
        return self._update_selected(
            collection_name,
            points,
            lambda ids: _Operation.delete_vectors(ids, list(vectors)),
            lambda condition: _Operation.delete_vectors_by_filter(condition, list(vectors)),
            removes=vectors,
        )

    def delete(
        self, collection_name: str, points_selector: Any, **parameters: Any
    ) -> models.UpdateResult:
        refuse_unsupported("delete", parameters)
        return self._update_selected(
            collection_name,
            points_selector,
            _Operation.delete_points,
            _Operation.delete_points_by_filter,
            removes=_declared(self._storage.shard(collection_name)),
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

    def _update_selected(
        self,
        collection_name: str,
        selector: Any,
        by_ids: Callable[[Any], edge.UpdateOperation],
        by_filter: Callable[[edge.Filter], edge.UpdateOperation],
        removes: Iterable[str] = (),
    ) -> models.UpdateResult:
        """Apply an operation to the points that `selector` lists or matches.

        Args:
            collection_name: the collection.
            selector: as the client takes it.
            by_ids: makes the operation for listed points.
            by_filter: makes it for those that match.
            removes: names of vectors that it takes from them.
        """
        shard = self._storage.shard(collection_name)
        if isinstance(selector, models.PointIdsList | models.FilterSelector):
            refuse_unsupported("points_selector", {"shard_key": selector.shard_key})
        if isinstance(selector, models.FilterSelector):
            selector = selector.filter
        if isinstance(selector, models.PointIdsList):
            selector = selector.points
        if isinstance(selector, models.Filter):
            operation = by_filter(to_engine_filter(selector) or edge.Filter())
            selected = selector
        elif not isinstance(selector, list | tuple):
            raise ValueError(f"Unsupported selector type: {type(selector)}")
        elif not selector:
            raise ValueError("Empty update request")
        else:
            operation = by_ids([to_engine_id(point_id) for point_id in selector])
            selected = models.Filter(must=[models.HasIdCondition(has_id=list(selector))])
        if weighted := _idf_vectors(shard).intersection(removes):
            _remove_weighted_vectors(shard, selected, weighted, by_filter)
        shard.update(operation)
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


def _remove_weighted_vectors(
    shard: Shard,
    selected: models.Filter,
    names: Iterable[str],
    by_filter: Callable[[edge.Filter], edge.UpdateOperation],
) -> None:
    """Apply an operation that takes these vectors from the points that have one of them.

    The engine takes the words of a vector that is replaced out of the document frequencies at
    once, those of a removed one only when the collection is opened again: each is replaced by an
    empty one first. Nothing comes between the two but a kill of the process.
    """
    has_one = models.Filter(should=[models.HasVectorCondition(has_vector=name) for name in names])
    matching = to_engine_filter(models.Filter(must=[has_one, selected])) or edge.Filter()
    empty: dict[str, Any] = {name: edge.SparseVector([], []) for name in names}
    offset = None
    while True:
        page = edge.ScrollRequest(
            offset=offset,
            limit=UPLOAD_BATCH_SIZE,
            filter=matching,
            with_payload=False,
            with_vector=False,
        )
        with shard.engine_alone("write") as engine:
            records, offset = engine.scroll(page)
            if records:
                ids = [record.id for record in records]
                vectors = [edge.PointVectors(one, empty) for one in ids]
                engine.update(_Operation.update_vectors(vectors))
                listed = models.Filter(must=[models.HasIdCondition(has_id=ids)])
                engine.update(by_filter(to_engine_filter(listed) or edge.Filter()))
        if offset is None:
            return


def _declared(shard: Shard) -> DeclaredVectors:
    return declared_vectors(shard.config.params)


def _idf_vectors(shard: Shard) -> set[str]:
    """Names of the vectors whose weights depend on all points."""
    idf = models.Modifier.IDF
    return {n for n, v in _declared(shard).items() if getattr(v, "modifier", None) == idf}


def _selector(request: Any) -> Any:
    """The points that an operation of a batch is for: ids, or else a filter."""
    refuse_unsupported("batch_update_points", {"shard_key": request.shard_key})
    if request.points is None and request.filter is None:
        raise ValueError("No filter or points provided")
    return request.filter if request.points is None else request.points
