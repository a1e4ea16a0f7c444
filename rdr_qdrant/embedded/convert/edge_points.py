"""Points to be written: ids, vectors, payload.

Vectors are passed to the engine in the fastest form it takes. Measured, for 768 components, in
microseconds a point: a list 9, an `array.array` made from a numpy row 14, `tolist()` 26, the numpy
row itself 57. So lists are passed as they are, and numpy rows as `array.array`.
"""

from __future__ import annotations

import json
import math
import uuid
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import qdrant_edge as edge
from pydantic_core import to_jsonable_python
from qdrant_client import models

from rdr_qdrant.embedded.convert.vector_validation import DeclaredVectors, check_vectors
from rdr_qdrant.embedded.errors import not_supported

MAX_PAYLOAD_DEPTH = 100
"""Levels of nested objects and lists. The engine takes more, but reads no more than 127 back."""


def to_engine_id(point_id: Any) -> int | str:
    """Convert an id: an unsigned 64-bit integer, or a UUID in its canonical form.

    Raises:
        ValueError: the id is neither.
    """
    if isinstance(point_id, int) and not isinstance(point_id, bool) and 0 <= point_id < 2**64:
        return point_id
    if isinstance(point_id, np.integer) and point_id >= 0:
        return int(point_id)
    try:
        return str(point_id if isinstance(point_id, uuid.UUID) else uuid.UUID(point_id))
    except (ValueError, AttributeError, TypeError):
        raise ValueError(
            f"Point id {point_id!r} is not a valid point id; "
            "pass an unsigned 64-bit integer or a UUID."
        ) from None


def to_engine_vector(vector: Any) -> edge.NamedVector:
    """Convert one dense vector [dim], multivector [n, dim] or sparse vector.

    Raises:
        ValueError: the vector holds NaN, which can be neither found nor ranked.
        NotSupportedError: a text or image, which must be embedded first.
    """
    if isinstance(vector, np.ndarray):
        return _from_numpy(vector)
    if isinstance(vector, models.SparseVector):
        return edge.SparseVector(indices=vector.indices, values=vector.values)
    if isinstance(vector, Sequence) and not isinstance(vector, str):
        if len(vector) > 0 and isinstance(vector[0], np.ndarray | Sequence):
            return cast(list[list[float]], [to_engine_vector(row) for row in vector])
        # The sum is NaN if any number is; infinities of both signs make it NaN as well.
        if math.isnan(sum(vector)) and any(map(math.isnan, vector)):
            raise ValueError("Vector contains NaN values")
        return cast(list[float], vector)
    raise not_supported(f"a vector of type {type(vector).__name__}", "embed it first")


def to_engine_vectors(vector: Any, declared: DeclaredVectors) -> edge.Vector:
    """Convert a point's vector, or its named vectors, and check them against those `declared`.

    Raises:
        ValueError: a vector does not fit the collection, or holds NaN.
    """
    converted: Any
    if isinstance(vector, Mapping):
        converted = {name: to_engine_vector(value) for name, value in vector.items()}
    else:
        converted = to_engine_vector(vector)
    check_vectors(converted, declared)
    return cast("edge.Vector", converted)


def to_engine_point(
    point_id: Any, vector: Any, payload: Mapping[str, Any] | None, declared: DeclaredVectors
) -> edge.Point:
    """Convert a point. Payload values become JSON: dates and UUIDs become strings.

    Raises:
        ValueError: the id, the vector or the payload cannot be stored.
    """
    engine_id, engine_vector = to_engine_id(point_id), to_engine_vectors(vector, declared)
    _check_depth(payload)
    try:
        return edge.Point(engine_id, engine_vector, cast(dict[str, Any], payload or {}))
    except (TypeError, ValueError):
        return edge.Point(engine_id, engine_vector, to_engine_payload(payload))


def to_engine_payload(payload: Mapping[str, Any] | None) -> dict[str, Any]:
    """Convert payload to JSON values. Raises ValueError for one that JSON cannot hold, as NaN."""
    _check_depth(payload)
    try:
        jsonable = to_jsonable_python(dict(payload or {}), fallback=_numpy_to_list)
        return cast(dict[str, Any], json.loads(json.dumps(jsonable, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"Wrong input: the payload is not JSON: {error}") from error


def _check_depth(value: Any, depth: int = 0) -> None:
    if depth > MAX_PAYLOAD_DEPTH:
        raise ValueError(
            f"Wrong input: the payload is nested more than {MAX_PAYLOAD_DEPTH} deep, "
            "which could not be read back."
        )
    inner = value.values() if isinstance(value, Mapping) else value
    if isinstance(inner, list | tuple) or inner is not value:
        for child in inner:
            if isinstance(child, Mapping | list | tuple):
                _check_depth(child, depth + 1)


def to_engine_points(points: Any, declared: DeclaredVectors) -> Iterator[edge.Point]:
    """Yield every point of a `models.Batch` or of a sequence of `models.PointStruct`."""
    if isinstance(points, models.Batch):
        yield from _from_batch(points, declared)
        return
    for point in points:
        if not isinstance(point, models.PointStruct | models.Record):
            raise ValueError(f"Unsupported type: {type(point)}; pass models.PointStruct.")
        vector = {} if point.vector is None else point.vector
        yield to_engine_point(point.id, vector, point.payload, declared)


def _from_batch(batch: models.Batch, declared: DeclaredVectors) -> Iterator[edge.Point]:
    payloads = [None] * len(batch.ids) if batch.payloads is None else batch.payloads
    if len(payloads) != len(batch.ids):
        raise ValueError(f"Wrong input: {len(batch.ids)} ids, but {len(payloads)} payloads.")
    rows = iterate_vectors(batch.vectors, len(batch.ids))
    for point_id, vector, payload in zip(batch.ids, rows, payloads, strict=True):
        yield to_engine_point(point_id, vector, payload, declared)


def iterate_vectors(vectors: Any, count: int | None) -> Iterator[Any]:
    """Yield each point's vector, or vectors by name, from one sequence or from one per name.

    Raises:
        ValueError: the number of vectors is not `count`, or differs between names.
    """
    if not isinstance(vectors, Mapping):
        if count is not None and hasattr(vectors, "__len__") and len(vectors) != count:
            raise ValueError(f"Wrong input: {count} ids, but {len(vectors)} vectors.")
        yield from vectors
        return
    lengths = {len(rows) for rows in vectors.values()}
    if len(lengths) > 1 or (count is not None and lengths - {count}):
        raise ValueError("Each named vector should have the same number of vectors")
    for position in range(next(iter(lengths), 0)):
        yield {name: rows[position] for name, rows in vectors.items()}


def _from_numpy(vector: np.ndarray[Any, Any]) -> edge.NamedVector:
    if vector.ndim == 2:
        return cast(list[list[float]], [_from_numpy(row) for row in vector])
    if np.isnan(vector).any():
        raise ValueError("Vector contains NaN values")
    return cast(list[float], array("f", vector.astype(np.float32, copy=False).tobytes()))


def _numpy_to_list(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r}")
