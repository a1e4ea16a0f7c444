"""Points in the forms in which they are written: models, JSON, or a protobuf message.

JSON and protobuf are made from the arrays, without a Python number for each component. Neither
form checks the numbers: vectors with NaN or infinity are rejected before, see `EmbeddedBatch`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import orjson

from rdr_qdrant.collection.bm25 import BM25_VECTOR

if TYPE_CHECKING:
    from qdrant_client import grpc, models

PointId = int | str

FLOAT_BYTES = 4
BYTES_AROUND_POINT = 100
"""At most: the tags and lengths of a point in protobuf, and its id."""
BYTES_AROUND_VALUE = 50
"""The same of a value and its key: five tags with lengths of at most five bytes, and more."""


def normalized_id(point_id: PointId | UUID) -> PointId:
    """Return a point id as a number or as text."""
    return str(point_id) if isinstance(point_id, UUID) else point_id


def own_vector(vector: Any, vector_name: str) -> Any:
    """Return the vector of this name from the vectors of a point, or its only one."""
    return vector.get(vector_name) if isinstance(vector, Mapping) else vector


class Point(NamedTuple):
    """A point to be written.

    Attributes:
        id: the Qdrant id, a number below 2**64 or a UUID.
        vector: float32 [dim], finite.
        payload: see `collection.payload`.
        sparse: the BM25 weights of its words, where the collection has them.
        other_vectors: named vectors of other programs, which the point keeps.
    """

    id: PointId
    vector: Any
    payload: Mapping[str, Any]
    sparse: models.SparseVector | None = None
    other_vectors: Mapping[str, Any] = MappingProxyType({})

    @property
    def needs_names(self) -> bool:
        """True if its vector is not the only one."""
        return self.sparse is not None or bool(self.other_vectors)


def to_structs(
    points: Sequence[Point], vector_name: str, *, arrays: bool
) -> list[models.PointStruct]:
    """Return points as the client takes them; vectors are arrays or lists."""
    from qdrant_client import models

    structs = []
    for point in points:
        vector = point.vector if arrays else point.vector.tolist()
        if vector_name or point.needs_names:
            vector = {vector_name: vector, **point.other_vectors}
            if point.sparse is not None:
                vector[BM25_VECTOR] = point.sparse
        structs.append(
            models.PointStruct.model_construct(  # ids, vectors and payload are ours, and valid
                id=point.id, vector=vector, payload=dict(point.payload)
            )
        )
    return structs


def to_json(points: Sequence[Point], vector_name: str) -> bytes:
    """Return the body of a REST request that writes points."""
    structs = []
    for point in points:
        vector = point.vector
        if vector_name or point.needs_names:
            vector = {vector_name: vector, **point.other_vectors}
            if point.sparse is not None:
                vector[BM25_VECTOR] = {
                    "indices": point.sparse.indices,
                    "values": point.sparse.values,
                }
        structs.append({"id": point.id, "vector": vector, "payload": point.payload})
    option = orjson.OPT_SERIALIZE_NUMPY
    return orjson.dumps({"points": structs}, default=_to_plain, option=option)


def to_message(
    points: Sequence[Point], vector_name: str, collection_name: str
) -> tuple[grpc.UpsertPoints, int]:
    """Return the gRPC request that writes points and waits until they are written.

    Returns:
        The request, and a number of bytes that it does not exceed: its own `ByteSize` would take
        as long as to send it.

    Raises:
        ValueError: a payload has an integer beyond 63 bits, which protobuf cannot hold.
    """
    from qdrant_client import grpc
    from qdrant_client.conversions.conversion import RestToGrpc

    request = grpc.UpsertPoints(collection_name=collection_name, wait=True)
    bytes_at_most = request.ByteSize()
    for point in points:
        message = request.points.add()
        bytes_at_most += _fill(message.payload, point.payload)
        if isinstance(point.id, int):
            message.id.num = point.id
        else:
            message.id.uuid = point.id
        dense = _vector_head(len(point.vector)) + point.vector.astype("<f4", copy=False).tobytes()
        if vector_name or point.sparse is not None or point.other_vectors:
            vectors = message.vectors
            if point.other_vectors:
                vectors.CopyFrom(RestToGrpc.convert_vector_struct(dict(point.other_vectors)))
            vectors.vectors.vectors[vector_name].MergeFromString(dense)
            if point.sparse is not None:
                sparse = vectors.vectors.vectors[BM25_VECTOR].sparse
                sparse.indices.extend(point.sparse.indices)
                sparse.values.extend(point.sparse.values)
            bytes_at_most += vectors.ByteSize()
        else:
            message.vectors.vector.MergeFromString(dense)
            bytes_at_most += len(dense)
        bytes_at_most += BYTES_AROUND_POINT
    return request, bytes_at_most


def _fill(fields: Any, values: Mapping[str, Any]) -> int:
    """Add values to a protobuf map; strings in place, since nearly all of a payload are.

    Returns:
        A number of bytes that they do not exceed.
    """
    bytes_at_most = 0
    for key, value in values.items():
        if type(value) is str:
            fields[key].string_value = value
            bytes_at_most += 4 * len(value)
        elif type(value) is dict and value:
            bytes_at_most += _fill(fields[key].struct_value.fields, value)
        else:
            from qdrant_client.conversions.conversion import json_to_value

            fields[key].CopyFrom(json_to_value(value))
            bytes_at_most += fields[key].ByteSize()
        bytes_at_most += 4 * len(key) + BYTES_AROUND_VALUE
    return bytes_at_most


@lru_cache(maxsize=8)
def _vector_head(dimension: int) -> bytes:
    """Return all that comes before the numbers in a serialized dense vector: tags and lengths."""
    from qdrant_client import grpc

    vector = grpc.Vector(dense=grpc.DenseVector(data=[0.0] * dimension))
    zeros: bytes = vector.SerializeToString()
    return zeros[: len(zeros) - FLOAT_BYTES * dimension]


def _to_plain(value: Any) -> Any:
    """Return what orjson does not know, a mapping or a model of qdrant-client, as a dict."""
    return dict(value) if isinstance(value, Mapping) else value.model_dump(exclude_none=True)
