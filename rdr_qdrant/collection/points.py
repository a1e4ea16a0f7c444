"""A collection's points by their ids; every call is idempotent and may be repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from rdr_qdrant.client import RequestTooLargeError, RetryPolicy, capabilities
from rdr_qdrant.collection.payload import HASH_KEY, METADATA_KEY

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

T = TypeVar("T")
PointId = int | str

MAX_REQUEST_BYTES = 16 * 2**20
"""Most bytes of points in one request. Qdrant's own limit is 32 MiB (`max_request_size_mb`)."""
BYTES_PER_NUMBER = 24
"""Most characters of one number of a vector in JSON, its comma included."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point to be written.

    Attributes:
        id: its Qdrant id, a number below 2**64 or a UUID.
        vector: float32 [dim].
        payload: see `collection.payload`.
    """

    id: PointId
    vector: Any
    payload: Mapping[str, Any]

    def request_bytes(self) -> int:
        """At most so many bytes of JSON."""
        return len(json.dumps(self.payload)) + BYTES_PER_NUMBER * len(self.vector) + 100


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """What tells whether a stored point is up to date.

    Attributes:
        content_hash: see `passages.content_hash`; `None` where other software wrote the point.
        metadata: as it was written.
    """

    content_hash: str | None
    metadata: Mapping[str, Any]


class Points:
    """The points of a collection.

    Args:
        client: a `QdrantClient`, of a server or embedded.
        name: the collection's name.
        vector_name: the named vector to use; `""` is the unnamed one.
        retrying: makes the calls; by default each is made once.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def __init__(
        self,
        client: QdrantClient,
        name: str,
        vector_name: str = "",
        retrying: RetryPolicy | None = None,
    ) -> None:
        self.client = client
        self.name = name
        self.vector_name = vector_name
        self._retrying = retrying or RetryPolicy()

    def count(self) -> int:
        """Number of points, exact."""
        return self._ask(lambda: self.client.count(self.name, exact=True)).count

    def metadata_keys(self, sample: int = 100) -> list[str]:
        """The keys that some points, no more than `sample` of them, have in their metadata."""
        records, _ = self._ask(
            lambda: self.client.scroll(self.name, limit=sample, with_payload=[METADATA_KEY])
        )
        found = [(record.payload or {}).get(METADATA_KEY) or {} for record in records]
        return sorted({key for metadata in found for key in metadata})

    def stored(self, ids: Sequence[PointId]) -> dict[PointId, StoredPoint]:
        """Content hash and metadata of those of these points that are there."""
        records = self._retrieve(ids, with_payload=[HASH_KEY, METADATA_KEY])
        found = {}
        for record in records:
            payload = record.payload or {}
            metadata = payload.get(METADATA_KEY)
            found[plain(record.id)] = StoredPoint(
                content_hash=payload.get(HASH_KEY),
                metadata=metadata if isinstance(metadata, Mapping) else {},
            )
        return found

    def payloads(self, ids: Sequence[PointId]) -> dict[PointId, Mapping[str, Any]]:
        """Payload of those of these points that are there."""
        return {plain(r.id): r.payload or {} for r in self._retrieve(ids, with_payload=True)}

    def present(self, ids: Sequence[PointId]) -> set[PointId]:
        """Those of these points that are there."""
        return {plain(record.id) for record in self._retrieve(ids, with_payload=False)}

    def read(self, ids: Sequence[PointId]) -> dict[PointId, tuple[Mapping[str, Any], Any]]:
        """Payload and vector of those of these points that are there."""
        records = self._retrieve(ids, with_payload=True, with_vectors=True)
        return {plain(r.id): (r.payload or {}, self._unnamed(r.vector)) for r in records}

    def records(self, ids: Sequence[PointId]) -> list[models.Record]:
        """Those of these points that are there, with payload."""
        return self._retrieve(ids, with_payload=True)

    def upsert(self, points: Sequence[Point]) -> list[PointId]:
        """Write points, replacing those of the same id; returns when they are written.

        Requests are kept below `MAX_REQUEST_BYTES`; one that is still too large is halved.

        Returns:
            The ids of points that the server does not take even alone; they were not written.
        """
        refused: list[PointId] = []
        for part in _by_size(points, MAX_REQUEST_BYTES):
            refused += (point.id for point in in_halves(part, self._upsert))
        return refused

    def _upsert(self, points: Sequence[Point]) -> None:
        from qdrant_client import models

        arrays = capabilities(self.client).takes_arrays
        structs = [
            models.PointStruct.model_construct(  # ids, vectors and payload are ours, and right
                id=point.id,
                vector=self._named(point.vector if arrays else point.vector.tolist()),
                payload=dict(point.payload),
            )
            for point in points
        ]
        self._ask(lambda: self.client.upsert(self.name, points=structs, wait=True))

    def discard(self, ids: Sequence[PointId]) -> None:
        """Delete those of these points that are there."""
        self._ask(lambda: self.client.delete(self.name, list(ids), wait=True))

    def ids(self, limit: int) -> Iterator[list[PointId]]:
        """Every point's id, some at a time."""
        offset: Any = None
        while True:
            records, offset = self._ask(
                lambda offset=offset: self.client.scroll(  # type: ignore[misc]
                    self.name, limit=limit, offset=offset, with_payload=False
                )
            )
            yield [plain(record.id) for record in records]
            if offset is None:
                return

    def _retrieve(
        self, ids: Sequence[PointId], *, with_payload: Any, with_vectors: bool = False
    ) -> list[models.Record]:
        return self._ask(
            lambda: self.client.retrieve(
                self.name, list(ids), with_payload=with_payload, with_vectors=with_vectors
            )
        )

    def _ask(self, call: Callable[[], T]) -> T:
        return self._retrying(self.client, call)

    def _named(self, vector: Any) -> Any:
        return {self.vector_name: vector} if self.vector_name else vector

    def _unnamed(self, vector: Any) -> Any:
        return vector.get(self.vector_name) if isinstance(vector, Mapping) else vector


def plain(point_id: PointId | UUID) -> PointId:
    """A point id as a number or as text."""
    return str(point_id) if isinstance(point_id, UUID) else point_id


def _by_size(points: Sequence[Point], limit: int) -> Iterator[list[Point]]:
    """The points in runs of at most so many bytes; one that is larger is a run of its own."""
    part: list[Point] = []
    size = 0
    for point in points:
        bytes_of_point = point.request_bytes()
        if part and size + bytes_of_point > limit:
            yield part
            part, size = [], 0
        part.append(point)
        size += bytes_of_point
    if part:
        yield part


def in_halves(items: Sequence[T], send: Callable[[Sequence[T]], None]) -> list[T]:
    """Send them, by halves where they are too large at once; those too large alone are returned."""
    if not items:
        return []
    try:
        send(items)
    except RequestTooLargeError:
        if len(items) == 1:
            return list(items)
        half = len(items) // 2
        return in_halves(items[:half], send) + in_halves(items[half:], send)
    return []
