"""Points to be written: ids, vectors, payload.

Vectors are passed to the engine in the fastest form it takes. Measured, for 768 components, in
microseconds a point: a list 9, an `array.array` made from a numpy row 14, `tolist()` 26, the numpy
row itself 57. So lists are passed as they are, and numpy rows as `array.array`.
"""

from __future__ import annotations

import json
import math
import operator
import uuid
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import qdrant_edge as edge
from pydantic_core import to_jsonable_python
from qdrant_client import models

from rdr_qdrant.embedded.convert.vector_validation import DeclaredVectors, check_vectors
from rdr_qdrant.embedded.errors import not_supported, one_line, translate_input_errors

MAX_FLOAT32 = float(np.finfo(np.float32).max)
MAX_FLOAT64 = int(np.finfo(np.float64).max)
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

    The engine trusts its input: a sparse vector with more indices than values makes it panic, then
    and whenever the collection is opened afterwards. So what a server refuses is refused here.

    Raises:
        ValueError: components that are not finite 32-bit floats; rows of different lengths; sparse
            indices that are repeated, not 32-bit, or more or fewer than the values.
        NotSupportedError: a text or image, which must be embedded first.
    """
    if isinstance(vector, models.SparseVector):
        return _sparse_vector(vector)
    if isinstance(vector, np.ndarray) and vector.ndim == 1:
        return _dense_array(vector)
    if not isinstance(vector, np.ndarray | Sequence) or isinstance(vector, str | bytes):
        raise not_supported(f"a vector of type {type(vector).__name__}", "embed it first")
    if isinstance(vector, np.ndarray) and vector.ndim != 2:
        raise ValueError(f"Wrong input: a vector has 1 or 2 dimensions, got {vector.ndim}")
    if len(vector) > 0 and _is_row(vector[0]):
        return _multivector(vector)
    return _dense_list(cast(Sequence[Any], vector))


def _is_row(value: Any) -> bool:
    return isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _multivector(rows: Any) -> list[list[float]]:
    converted: list[Any] = []
    for row in rows:
        if isinstance(row, np.ndarray) and row.ndim == 1:
            converted.append(_dense_array(row))
        elif isinstance(row, Sequence) and not isinstance(row, str | bytes):
            converted.append(_dense_list(row))
        else:
            raise ValueError(f"Wrong input: a multivector's row is a {type(row).__name__}")
    lengths = sorted({len(row) for row in converted})
    if len(lengths) != 1 or lengths[0] == 0:
        raise ValueError(f"Wrong input: the rows of a multivector have the lengths {lengths}")
    return converted


def _dense_list(vector: Sequence[Any]) -> list[float]:
    try:
        norm = math.hypot(*vector)  # the fastest look at every component
    except (TypeError, OverflowError) as error:
        raise ValueError(f"Wrong input: a vector's components must be numbers: {error}") from error
    if any(isinstance(component, bool | np.bool_) for component in vector[:1]):
        raise ValueError("Wrong input: a vector's components must be numbers, got bool")
    if not norm <= MAX_FLOAT32:
        _check_finite(np.asarray(vector, dtype=np.float64))
    if type(vector) is list and (not vector or type(vector[0]) is float):
        return vector
    return cast(list[float], array("f", vector))


def _dense_array(vector: np.ndarray[Any, Any]) -> list[float]:
    if vector.dtype.kind not in "fiu":
        raise ValueError(f"Wrong input: a vector's components must be numbers, got {vector.dtype}")
    if vector.dtype.kind != "f":
        vector = vector.astype(np.float64)
    _check_finite(vector)
    return cast(list[float], array("f", vector.astype(np.float32, copy=False).tobytes()))


def _check_finite(components: np.ndarray[Any, Any]) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        if np.dot(components, components) <= MAX_FLOAT32:
            return  # every component is finite
        rounded = components.astype(np.float32)  # as JSON's 3.4028235e38, the largest one
    if np.isnan(rounded).any():
        raise ValueError("Vector contains NaN values")
    if np.isinf(rounded).any():
        raise ValueError("Wrong input: Vector contains values that are not finite 32-bit floats")


def _sparse_vector(vector: models.SparseVector) -> edge.SparseVector:
    try:
        indices = [operator.index(i) for i in vector.indices]
    except TypeError as error:
        raise ValueError(f"Wrong input: sparse indices must be integers: {error}") from error
    values = _dense_list([float(v) if isinstance(v, np.generic) else v for v in vector.values])
    if len(indices) != len(values):
        raise ValueError(
            f"Wrong input: values and indices must have the same length: {len(indices)} indices, "
            f"{len(values)} values"
        )
    if indices and not 0 <= min(indices) <= max(indices) < 2**32:
        raise ValueError("Wrong input: sparse indices must be unsigned 32-bit integers")
    if len(set(indices)) != len(indices):
        raise ValueError("Wrong input: sparse indices must be unique")
    return edge.SparseVector(indices=indices, values=list(values))


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
    with translate_input_errors():
        engine_id, engine_vector = to_engine_id(point_id), to_engine_vectors(vector, declared)
        return edge.Point(engine_id, engine_vector, to_engine_payload(payload))


def to_engine_payload(payload: Mapping[str, Any] | None) -> dict[str, Any]:
    """Convert the payload of a point or the metadata of a collection to JSON values.

    The values are those that qdrant-client sends over REST:
    bytes, decimals, dates and UUIDs become strings; sets and arrays become lists.

    Raises:
        ValueError: a value that JSON cannot hold (NaN, a lone surrogate, an integer beyond the
            range of floats), two keys that are the same in JSON (1 and "1"), or nesting that is
            too deep to be read back.
    """
    if payload is None:
        return {}
    if type(payload) is dict and _is_json(payload):
        return payload
    if not isinstance(payload, Mapping):
        raise ValueError(f"Wrong input: a payload is a mapping, got {type(payload).__name__}")
    _check_keys(payload)
    try:
        converted = to_jsonable_python(dict(payload), fallback=_numpy_to_list)
        text = json.dumps(converted, allow_nan=False, ensure_ascii=False)
        converted = json.loads(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"Wrong input: the payload is not JSON: {one_line(error)}") from error
    _is_json(converted)  # arrays may have made it deeper
    return cast(dict[str, Any], converted)


def _is_json(value: Any, depth: int = 0) -> bool:
    """True if the engine can take `value` as it is: a copy would cost more than the upsert."""
    if depth > MAX_PAYLOAD_DEPTH + 1:
        raise ValueError(
            f"Wrong input: the payload is nested more than {MAX_PAYLOAD_DEPTH} deep, "
            "which could not be read back."
        )
    kind = type(value)
    if kind is str:
        return bool(value.isascii() or _is_unicode(value))
    if kind is int:
        if not -MAX_FLOAT64 <= value <= MAX_FLOAT64:
            raise ValueError("Wrong input: the payload holds an integer beyond the range of floats")
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        return all(
            type(key) is str and _is_json(key) and _is_json(child, depth + 1)
            for key, child in value.items()
        )
    if kind is list:
        return all(_is_json(child, depth + 1) for child in value)
    return value is None or kind is bool


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_keys(value: Any, depth: int = 0) -> None:
    if depth > MAX_PAYLOAD_DEPTH + 1:
        return  # reported by _is_json
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) and str(key) in value:
                raise ValueError(
                    f"Wrong input: the payload has the keys {key!r} and {str(key)!r}, which are "
                    "the same in JSON"
                )
        value = list(value.values())
    if isinstance(value, list | tuple):
        for child in value:
            _check_keys(child, depth + 1)


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


def _numpy_to_list(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r}")
