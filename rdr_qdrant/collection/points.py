"""Points of a collection: read, write, scroll, delete. Every call is idempotent and may be retried.

A server in strict mode (Qdrant Cloud's default) takes no filter by a field without an index.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from rdr_qdrant.client import RequestTooLargeError, UnindexedFilterError, capabilities
from rdr_qdrant.collection.connection import CollectionConnection
from rdr_qdrant.collection.payload import HASH_KEY, METADATA_KEY, is_ours

if TYPE_CHECKING:
    from qdrant_client import models

T = TypeVar("T")
PointId = int | str
MetadataUpdate = tuple[PointId, str, Mapping[str, Any]]
"""A point id, the content hash that the point must have, and its new metadata."""

MAX_REQUEST_BYTES = 16 * 2**20
"""Size limit of one request. Qdrant's own limit is 32 MiB (`max_request_size_mb`)."""
BYTES_PER_NUMBER = 24
"""Upper bound of the characters of one vector component in JSON, with its comma."""
BYTES_PER_POINT = 100
"""Upper bound of what a request holds of a point besides its vector and payload."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point to be written.

    Attributes:
        id: the Qdrant id, a number below 2**64 or a UUID.
        vector: float32 [dim].
        payload: see `collection.payload`.
    """

    id: PointId
    vector: Any
    payload: Mapping[str, Any]

    def request_bytes(self) -> int:
        """Upper bound of its size in a request, in bytes of JSON."""
        numbers = BYTES_PER_NUMBER * len(self.vector)
        return len(json.dumps(self.payload)) + numbers + BYTES_PER_POINT


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """The parts of a stored point that tell whether it is up to date.

    Attributes:
        content_hash: see `passages.content_hash`; `None` where other software wrote the point,
            see `payload.is_ours`.
        metadata: as it was written.
    """

    content_hash: str | None
    metadata: Mapping[str, Any]


class Points:
    """The points of a collection.

    Args:
        connection: the collection.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def __init__(self, connection: CollectionConnection) -> None:
        self._connection = connection
        self._client = connection.client
        self._name = connection.name
        self._vector_name = connection.vector_name
        self._filters_by_hash = True

    # Reading

    def count(self) -> int:
        """Return the exact number of points."""
        return self._call(lambda: self._client.count(self._name, exact=True)).count

    def retrieve(self, ids: Sequence[PointId]) -> dict[PointId, StoredPoint]:
        """Return content hash and metadata of those of these points that exist."""
        found = {}
        for record in self._retrieve(ids, with_payload=[HASH_KEY, METADATA_KEY]):
            one, payload = normalized_id(record.id), record.payload or {}
            metadata = payload.get(METADATA_KEY)
            found[one] = StoredPoint(
                content_hash=payload[HASH_KEY] if is_ours(one, payload) else None,
                metadata=metadata if isinstance(metadata, Mapping) else {},
            )
        return found

    def retrieve_payloads(self, ids: Sequence[PointId]) -> dict[PointId, Mapping[str, Any]]:
        """Return the payloads of those of these points that exist."""
        return {normalized_id(r.id): r.payload or {} for r in self.retrieve_records(ids)}

    def retrieve_payloads_and_vectors(
        self, ids: Sequence[PointId]
    ) -> dict[PointId, tuple[Mapping[str, Any], Any]]:
        """Return payload and vector, a list [dim], of those of these points that exist."""
        records = self.retrieve_records(ids, with_vectors=True)
        return {normalized_id(r.id): (r.payload or {}, self._own_vector(r.vector)) for r in records}

    def retrieve_records(
        self, ids: Sequence[PointId], *, with_vectors: bool = False
    ) -> list[models.Record]:
        """Return those of these points that exist, with payload and perhaps all vectors."""
        return self._retrieve(ids, with_payload=True, with_vectors=with_vectors)

    def existing_ids(self, ids: Sequence[PointId]) -> set[PointId]:
        """Return those of these ids that belong to a point."""
        return {normalized_id(record.id) for record in self._retrieve(ids, with_payload=False)}

    def scroll_records(self, page_size: int) -> Iterator[list[models.Record]]:
        """Yield all points with payload and vectors, in pages."""
        return self._scroll(page_size, with_payload=True, with_vectors=True)

    def scroll_ids(self, page_size: int) -> Iterator[list[PointId]]:
        """Yield the ids of all points of ours, in pages."""
        for page in self._scroll_ours(page_size):
            yield [one for one, _ in page]

    def scroll_source(self, source: str, page_size: int) -> Iterator[list[tuple[PointId, str]]]:
        """Yield point id and passage id of every point of ours from this source, in pages."""
        from qdrant_client import models

        of_source = models.Filter(must=[_equals(f"{METADATA_KEY}.source", source)])
        return self._scroll_ours(page_size, scroll_filter=of_source)

    def sample_metadata_keys(self, sample: int = 100) -> list[str]:
        """Return the metadata keys of up to `sample` points, sorted."""
        records = next(self._scroll(sample, with_payload=[METADATA_KEY]))
        found = [(record.payload or {}).get(METADATA_KEY) or {} for record in records]
        return sorted({key for metadata in found for key in metadata})

    def unknown_metadata_keys(self, keys: Sequence[str]) -> list[str]:
        """Return those of these metadata keys that no point has."""
        from qdrant_client import models

        def exists(key: str) -> bool:
            field = models.PayloadField(key=f"{METADATA_KEY}.{key}")
            has_key = models.Filter(must_not=[models.IsEmptyCondition(is_empty=field)])
            return bool(next(self._scroll(1, scroll_filter=has_key, with_payload=False)))

        return [key for key in keys if not exists(key)]

    # Writing

    def upsert(self, points: Sequence[Point]) -> list[PointId]:
        """Write points, replacing those of the same id; returns when they are written.

        Requests are kept below `MAX_REQUEST_BYTES`; one that is still too large is halved.

        Returns:
            The ids of points that are too large even alone; they were not written.
        """
        too_large: list[PointId] = []
        for chunk in _chunks_by_bytes(points, MAX_REQUEST_BYTES):
            too_large += (point.id for point in send_in_halves(chunk, self._upsert))
        return too_large

    def upsert_records(self, records: Sequence[models.Record]) -> list[PointId]:
        """Write points as they were read, with all their vectors; returns those too large alone."""
        return [normalized_id(r.id) for r in send_in_halves(records, self._upsert_records)]

    def replace_metadata(self, updates: Sequence[MetadataUpdate]) -> list[PointId]:
        """Replace the metadata of points; their texts and vectors stay.

        Args:
            updates: id, content hash, metadata. A point with another content hash, which somebody
                else has just replaced, keeps its metadata. In strict mode the hash is read right
                before the write instead of being checked by it: a point replaced in between gets
                these metadata until it is loaded again.

        Returns:
            The ids of points whose metadata are too large even alone; they were not changed.
        """
        if self._filters_by_hash:
            try:
                too_large = send_in_halves(updates, self._replace_metadata_if_same_hash)
                return [update[0] for update in too_large]
            except UnindexedFilterError:  # and an index of every hash would cost gigabytes of RAM
                self._filters_by_hash = False
        stored = self.retrieve([one for one, _, _ in updates])
        same = [u for u in updates if u[0] in stored and stored[u[0]].content_hash == u[1]]
        return [update[0] for update in send_in_halves(same, self._replace_metadata)]

    def delete(self, ids: Sequence[PointId]) -> None:
        """Delete those of these points that exist."""
        self._call(lambda: self._client.delete(self._name, list(ids), wait=True))

    def delete_of_source(self, ids: Sequence[PointId], source: str) -> None:
        """Delete those of these points that still have this source."""
        from qdrant_client import models

        chosen = models.FilterSelector(filter=_ids_with(ids, f"{METADATA_KEY}.source", source))
        self._call(lambda: self._client.delete(self._name, chosen, wait=True))

    def _upsert(self, points: Sequence[Point]) -> None:
        from qdrant_client import models

        arrays = capabilities(self._client).takes_arrays
        structs = [
            models.PointStruct.model_construct(  # ids, vectors and payload are ours, and valid
                id=point.id,
                vector=self._as_request(point.vector if arrays else point.vector.tolist()),
                payload=dict(point.payload),
            )
            for point in points
        ]
        self._call(lambda: self._client.upsert(self._name, points=structs, wait=True))

    def _upsert_records(self, records: Sequence[models.Record]) -> None:
        from qdrant_client import models

        structs = [
            models.PointStruct.model_construct(
                id=record.id, vector=record.vector or {}, payload=record.payload or {}
            )
            for record in records
        ]
        self._call(lambda: self._client.upsert(self._name, points=structs, wait=True))

    def _replace_metadata_if_same_hash(self, updates: Sequence[MetadataUpdate]) -> None:
        self._set_metadata(
            [
                (metadata, {"filter": _ids_with([one], HASH_KEY, content_hash)})
                for one, content_hash, metadata in updates
            ]
        )

    def _replace_metadata(self, updates: Sequence[MetadataUpdate]) -> None:
        self._set_metadata([(metadata, {"points": [one]}) for one, _, metadata in updates])

    def _set_metadata(self, updates: Sequence[tuple[Mapping[str, Any], dict[str, Any]]]) -> None:
        from qdrant_client import models

        operations = [
            models.SetPayloadOperation(
                set_payload=models.SetPayload(payload={METADATA_KEY: dict(metadata)}, **selected)
            )
            for metadata, selected in updates
        ]
        self._call(lambda: self._client.batch_update_points(self._name, operations, wait=True))

    def _retrieve(
        self, ids: Sequence[PointId], *, with_payload: Any, with_vectors: bool = False
    ) -> list[models.Record]:
        return self._call(
            lambda: self._client.retrieve(
                self._name, list(ids), with_payload=with_payload, with_vectors=with_vectors
            )
        )

    def _scroll_ours(self, page_size: int, **options: Any) -> Iterator[list[tuple[PointId, str]]]:
        keys = [HASH_KEY, f"{METADATA_KEY}.id"]
        for records in self._scroll(page_size, with_payload=keys, **options):
            payloads = ((normalized_id(record.id), record.payload or {}) for record in records)
            yield [(i, p[METADATA_KEY]["id"]) for i, p in payloads if is_ours(i, p)]

    def _scroll(self, page_size: int, **options: Any) -> Iterator[list[models.Record]]:
        offset: Any = None
        while True:

            def next_page(offset: Any = offset) -> tuple[list[models.Record], Any]:
                return self._client.scroll(self._name, limit=page_size, offset=offset, **options)

            records, offset = self._call(next_page)
            yield records
            if offset is None:
                return

    def _call(self, request: Callable[[], T]) -> T:
        return self._connection.call(request)

    def _as_request(self, vector: Any) -> Any:
        return {self._vector_name: vector} if self._vector_name else vector

    def _own_vector(self, vector: Any) -> Any:
        return vector.get(self._vector_name) if isinstance(vector, Mapping) else vector


def normalized_id(point_id: PointId | UUID) -> PointId:
    """Return a point id as a number or as text."""
    return str(point_id) if isinstance(point_id, UUID) else point_id


def send_in_halves(items: Sequence[T], send: Callable[[Sequence[T]], None]) -> list[T]:
    """Send items, halving a request that is too large.

    Returns:
        The items that are too large even alone.
    """
    if not items:
        return []
    try:
        send(items)
    except RequestTooLargeError:
        if len(items) == 1:
            return list(items)
        half = len(items) // 2
        return send_in_halves(items[:half], send) + send_in_halves(items[half:], send)
    return []


def _chunks_by_bytes(points: Iterable[Point], limit: int) -> Iterator[list[Point]]:
    """Split points into chunks of at most so many bytes; a larger point is a chunk of its own."""
    chunk: list[Point] = []
    total = 0
    for point in points:
        size = point.request_bytes()
        if chunk and total + size > limit:
            yield chunk
            chunk, total = [], 0
        chunk.append(point)
        total += size
    if chunk:
        yield chunk


def _ids_with(ids: Iterable[PointId], key: str, value: str) -> models.Filter:
    from qdrant_client import models

    return models.Filter(must=[models.HasIdCondition(has_id=list(ids)), _equals(key, value)])


def _equals(key: str, value: str) -> models.FieldCondition:
    from qdrant_client import models

    return models.FieldCondition(key=key, match=models.MatchValue(value=value))
