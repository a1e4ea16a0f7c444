"""The engine's answers back into the client's models.

Built with `model_construct`: the engine's values are of the right types already, and checking
each number of each vector again would cost more than the search.
"""

from __future__ import annotations

import uuid
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from rdr_qdrant.embedded.errors import not_supported


def to_payload_choice(with_payload: Any) -> edge.WithPayloadType:
    """What of the payload to return: all, none, the fields of a list, or a selector."""
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


def to_vector_choice(with_vectors: Any) -> edge.WithVectorType:
    """Which vectors to return: all, none, or those named."""
    if with_vectors is None or isinstance(with_vectors, bool):
        return bool(with_vectors)
    return list(with_vectors)


def to_record(record: edge.Record) -> models.Record:
    """A stored point, as `retrieve` and `scroll` give it."""
    return models.Record.model_construct(
        id=to_client_id(record.id),
        payload=record.payload,
        vector=to_client_vectors(record.vector),
        shard_key=None,
        order_value=record.order_value,
    )


def to_scored_point(point: edge.ScoredPoint, with_vector: bool) -> models.ScoredPoint:
    """A point found by a query. The engine adds vectors unasked to MMR, hence `with_vector`."""
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
    """An id as the client gives it back: an integer, or a UUID as a string."""
    return str(point_id) if isinstance(point_id, uuid.UUID | str) else int(point_id)


def to_client_vectors(vector: Any) -> Any:
    """A point's vector, or its vectors by name; None where none were asked for."""
    if isinstance(vector, dict):
        return {name: to_client_vector(value) for name, value in vector.items()}
    return to_client_vector(vector)


def to_client_vector(vector: Any) -> Any:
    """One vector: a list, a list of lists, or a `models.SparseVector`."""
    if isinstance(vector, edge.SparseVector):
        return models.SparseVector(indices=vector.indices, values=vector.values)
    return vector
