"""Points of a collection: read, write, scroll, delete. Every call is idempotent and may be retried.

A server in strict mode (Qdrant Cloud's default) takes no filter by a field without an index.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import orjson

from rdr_qdrant.client import (
    LimitExceededError,
    PointNotFoundError,
    RequestTooLargeError,
    UnindexedFilterError,
    capabilities,
    prefers_grpc,
)
from rdr_qdrant.collection.bm25 import BM25_VECTOR
from rdr_qdrant.collection.client_calls import run_now
from rdr_qdrant.collection.connection import CollectionConnection
from rdr_qdrant.collection.filters import with_ids
from rdr_qdrant.collection.limits import parts
from rdr_qdrant.collection.payload import HASH_KEY, METADATA_KEY, TEXT_KEY, is_ours, stored_metadata
from rdr_qdrant.collection.point_encoding import Point, PointId, normalized_id, own_vector
from rdr_qdrant.collection.upload import PointUpload
from rdr_qdrant.errors import CollectionError
from rdr_qdrant.passages import SOURCE_KEY

if TYPE_CHECKING:
    from qdrant_client import models

MOST_TRIES_WITHOUT_DELETED = 20
"""Updates of points that others delete meanwhile are sent so often."""

T = TypeVar("T")
Request = Callable[[], object]
HashedMetadata = tuple[PointId, str, Mapping[str, Any]]
"""A point id, the content hash that the point must have, and its new metadata."""


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


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """Result of writing points.

    Attributes:
        too_large: ids of points that are too large even alone; they were not written.
        stale: ids of points that keep vectors of other programs, made before the text changed.
    """

    too_large: Sequence[PointId] = ()
    stale: Sequence[PointId] = ()


class Points:
    """The points of a collection.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def __init__(self, connection: CollectionConnection) -> None:
        self._connection = connection
        self._client = connection.client
        self._name = connection.name
        self._vector_name = connection.vector_name
        self._filters_by_hash = True
        self._upload = PointUpload(connection)
        client = connection.client
        self._reads_json = capabilities(client).takes_bytes and not prefers_grpc(client)

    # Reading

    def count(self, matching: models.Filter | None = None) -> int:
        """Count the points that match: exactly, unless strict mode takes no exact counts."""
        return self._connection.count(matching)

    @property
    def counts_exactly(self) -> bool:
        """True unless `count` is an estimate of the server, since strict mode takes no other."""
        return self._connection.limits.allows_exact

    def retrieve(self, ids: Sequence[PointId]) -> dict[PointId, StoredPoint]:
        """Return content hash and metadata of those of these points that exist."""
        found = {}
        for record in self._look_up(ids, with_payload=[HASH_KEY, METADATA_KEY]):
            one, payload = record["id"], record.get("payload") or {}
            content_hash = payload[HASH_KEY] if is_ours(one, payload) else None
            found[one] = StoredPoint(content_hash, stored_metadata(payload))
        return found

    def retrieve_payloads(self, ids: Sequence[PointId]) -> dict[PointId, Mapping[str, Any]]:
        """Return the payloads of those of these points that exist."""
        return {normalized_id(r.id): r.payload or {} for r in self.retrieve_records(ids)}

    def retrieve_payloads_and_vectors(
        self, ids: Sequence[PointId]
    ) -> dict[PointId, tuple[Mapping[str, Any], Any]]:
        """Return payload and vector, a list [dim], of those of these points that exist."""
        records = self.retrieve_records(ids, with_vectors=True)
        name = self._vector_name
        return {normalized_id(r.id): (r.payload or {}, own_vector(r.vector, name)) for r in records}

    def retrieve_records(
        self, ids: Sequence[PointId], *, with_payload: Any = True, with_vectors: Any = False
    ) -> list[models.Record]:
        """Return those of these points that exist, with what `QdrantClient.retrieve` would read."""
        reader = self._connection.reader
        return run_now(reader.retrieve(ids, with_payload=with_payload, with_vectors=with_vectors))

    def existing_ids(self, ids: Sequence[PointId]) -> set[PointId]:
        """Return those of these ids that belong to a point."""
        return {record["id"] for record in self._look_up(ids, with_payload=False)}

    def scroll_records(self, page_size: int) -> Iterator[list[models.Record]]:
        """Yield all points with payload and vectors, in pages."""
        return self._scroll(page_size, with_payload=True, with_vectors=True)

    def scroll_ours(
        self, page_size: int, matching: models.Filter | None = None, *, without: str = ""
    ) -> Iterator[list[tuple[PointId, str]]]:
        """Yield point id and passage id of every point of ours that matches, in pages.

        Args:
            page_size: points of a page; those that are left out count.
            matching: filter; `None` is every point.
            without: leave out points that have this metadata key.
        """
        fields = [HASH_KEY, f"{METADATA_KEY}.id"]
        if without:
            fields.append(f"{METADATA_KEY}.{without}")
        for page in self._scroll(page_size, scroll_filter=matching, with_payload=fields):
            payloads = ((normalized_id(record.id), record.payload or {}) for record in page)
            yield [
                (i, p[METADATA_KEY]["id"])
                for i, p in payloads
                if is_ours(i, p) and without not in p[METADATA_KEY]
            ]

    def scroll_ids(self, page_size: int, matching: models.Filter) -> Iterator[list[PointId]]:
        """Yield the ids of the points that match, also of other programs, in pages."""
        for page in self._scroll(page_size, scroll_filter=matching, with_payload=False):
            yield [normalized_id(record.id) for record in page]

    def scroll_lacking(
        self, vector_name: str, fields: Sequence[str], page_size: int
    ) -> Iterator[list[models.Record]]:
        """Yield points without a vector of this name, with these fields, in pages."""
        from qdrant_client import models

        has_vector = models.HasVectorCondition(has_vector=vector_name)
        lacking = models.Filter(must_not=[has_vector])
        return self._scroll(page_size, scroll_filter=lacking, with_payload=list(fields))

    def sample_metadata_keys(self, sample: int = 100) -> list[str]:
        """Return the metadata keys of up to `sample` points, sorted."""
        return run_now(self._connection.reader.sample_metadata_keys(sample))

    # Writing

    def upsert(self, points: Sequence[Point], existing: Container[PointId] = ()) -> UpsertResult:
        """Write points; returns when they are written.

        A point that exists keeps what other programs added to it: payload keys besides ours, and
        named vectors besides ours, which may be made of its former text (or of an image, which
        nobody here can know). They are read right before the write; an addition in between is lost.

        A request that is too large is halved.

        Args:
            points: to be written.
            existing: ids of those points that exist; all others are written as they are.
        """
        points = self._with_bm25(self._with_additions(points, existing))
        size = self._connection.limits.upsert_size
        too_large = [point.id for point in self._send(points, self._upload.request, size)]
        stale = [p.id for p in points if p.other_vectors and p.id not in too_large]
        return UpsertResult(too_large, stale)

    def upsert_records(self, records: Sequence[models.Record]) -> list[PointId]:
        """Write points as they were read, with all their vectors; returns those too large alone.

        Raises:
            CollectionError: a vector holds NaN or infinity; nothing is written.
        """
        for record in records:
            if not is_finite(record.vector):
                raise CollectionError(
                    f"Point {record.id} of {self._name!r} has a vector with NaN or infinity, which "
                    "would end searches of the copy in errors. Delete it in the source "
                    "(rdr-qdrant delete), load its passage again, then run the copy again."
                )
        size = self._connection.limits.upsert_size
        sent = self._send(records, self._upsert_records_request, size)
        return [normalized_id(record.id) for record in sent]

    def replace_metadata(self, updates: Sequence[HashedMetadata]) -> list[PointId]:
        """Replace the metadata of points; their texts and vectors stay.

        Args:
            updates: id, content hash, metadata. A point with another content hash, which somebody
                else has just replaced, keeps its metadata. In strict mode the hash is read right
                before the write instead of being checked by it: a point replaced in between gets
                these metadata until it is loaded again.

        Returns:
            The ids of points whose metadata are too large even alone; they were not changed.
        """
        size = self._connection.limits.write_size
        if self._filters_by_hash:
            try:
                request = partial(self._metadata_request, guarded=True)
                return [update[0] for update in self._send(updates, request, size)]
            except (UnindexedFilterError, LimitExceededError):
                # An index of every hash would cost gigabytes of RAM.
                self._filters_by_hash = False
        stored = self.retrieve([one for one, _, _ in updates])
        same = [u for u in updates if u[0] in stored and stored[u[0]].content_hash == u[1]]
        request = partial(self._metadata_request, guarded=False)
        return [update[0] for update in self._send(same, request, size)]

    def update_vectors(
        self,
        vector_name: str,
        vectors: Mapping[PointId, Any],
        content_hashes: Mapping[PointId, str] | None = None,
    ) -> None:
        """Write one named vector of each of those of these points that exist; all else stays.

        Args:
            vector_name: the name.
            vectors: by point id.
            content_hashes: by point id. Only points that have theirs are changed; `None` changes
                all.
        """
        from qdrant_client import models

        def to_request(items: Sequence[tuple[PointId, Any]]) -> Request:
            same = None
            if content_hashes is not None:
                same = models.Filter(
                    should=[_point_with_hash(one, content_hashes[one]) for one, _ in items]
                )
            points = [
                models.PointVectors.model_construct(id=one, vector={vector_name: vector})
                for one, vector in items
            ]
            return partial(
                self._client.update_vectors, self._name, points, wait=True, update_filter=same
            )

        waiting, size = list(vectors.items()), self._connection.limits.upsert_size
        for tries_left in reversed(range(MOST_TRIES_WITHOUT_DELETED)):
            try:
                self._send(waiting, to_request, size)
                return
            except PointNotFoundError:  # deleted meanwhile, and perhaps written again
                if not tries_left:
                    raise
                existing = self.existing_ids([one for one, _ in waiting])
                waiting = [item for item in waiting if item[0] in existing]

    def delete_vectors(self, vector_name: str, ids: Sequence[PointId]) -> None:
        """Take one named vector from each of those of these points that exist; all else stays."""
        names = [vector_name]
        for part in parts(ids, self._connection.limits.write_size):
            request = partial(self._client.delete_vectors, self._name, names, list(part), wait=True)
            self._connection.call(request)

    def delete(self, ids: Sequence[PointId], matching: models.Filter | None = None) -> None:
        """Delete those of these points that exist, or that still match."""
        from qdrant_client import models

        limits = self._connection.limits
        for part in parts(ids, limits.write_size if matching is None else limits.delete_size):
            selector: Any = list(part)
            if matching is not None:
                selector = models.FilterSelector(filter=with_ids(part, matching))
            self._connection.call(partial(self._client.delete, self._name, selector, wait=True))

    def _with_additions(
        self, points: Sequence[Point], existing: Container[PointId]
    ) -> Sequence[Point]:
        """Add to points what other programs added to the stored ones."""
        from qdrant_client import models

        ids = [point.id for point in points if point.id in existing]
        if not ids:
            return points
        records = self.retrieve_records(
            ids,
            with_payload=models.PayloadSelectorExclude(exclude=[TEXT_KEY, METADATA_KEY, HASH_KEY]),
            with_vectors=self._other_vector_names() or False,
        )
        found = {normalized_id(record.id): record for record in records}
        return [
            point._replace(
                payload={**(found[point.id].payload or {}), **point.payload},
                other_vectors=cast(Mapping[str, Any], found[point.id].vector or {}),
            )
            if point.id in found
            else point
            for point in points
        ]

    def _with_bm25(self, points: Sequence[Point]) -> Sequence[Point]:
        """Add to points the sparse vectors of their words, where the collection has them."""
        connection = self._connection
        encoder = connection.bm25_encoder()
        if encoder is None and any(BM25_VECTOR in point.other_vectors for point in points):
            connection.find_info()  # it may be ours since a moment ago
            encoder = connection.bm25_encoder()
        if encoder is None:
            return points
        return [
            point._replace(
                sparse=encoder.passage(point.payload),
                other_vectors={k: v for k, v in point.other_vectors.items() if k != BM25_VECTOR},
            )
            for point in points
        ]

    def _other_vector_names(self) -> list[str]:
        params = self._connection.info().config.params
        dense = params.vectors if isinstance(params.vectors, Mapping) else {}
        ours = [self._vector_name]
        if self._connection.bm25_encoder():
            ours.append(BM25_VECTOR)
        return [name for name in {**dense, **(params.sparse_vectors or {})} if name not in ours]

    def _send(
        self, items: Sequence[T], to_request: Callable[[Sequence[T]], Request], size: int | None
    ) -> list[T]:
        """Send at most `size` items in a request; returns those too large even alone.

        A request that is too large is halved; one that exceeds a limit is split to keep to it.
        """
        too_large: list[T] = []
        waiting = list(parts(items, size))[::-1]
        while waiting:
            part = waiting.pop()
            try:
                self._connection.retry(self._client, to_request(part), self._name)
            except LimitExceededError as error:
                if not self._connection.reader.state.learn(error) or len(part) <= error.limit:
                    raise
                waiting += list(parts(part, error.limit))[::-1]
            except RequestTooLargeError:
                half = len(part) // 2
                if half:
                    self._connection.find_info()  # a rate may be limited only since a moment ago
                    size = min(half, self._connection.limits.write_size or half)
                    waiting += list(parts(part, size))[::-1]
                else:
                    too_large += part
        return too_large

    def _upsert_records_request(self, records: Sequence[models.Record]) -> Request:
        from qdrant_client import models

        structs = [
            models.PointStruct.model_construct(
                id=record.id, vector=record.vector or {}, payload=record.payload or {}
            )
            for record in records
        ]
        return partial(self._client.upsert, self._name, points=structs, wait=True)

    def _metadata_request(self, updates: Sequence[HashedMetadata], *, guarded: bool) -> Request:
        """Make the request that replaces metadata, `guarded` by the content hashes."""
        from qdrant_client import models

        operations = [
            models.SetPayloadOperation(
                set_payload=models.SetPayload(
                    payload={METADATA_KEY: dict(metadata)},
                    points=None if guarded else [one],
                    filter=_point_with_hash(one, content_hash) if guarded else None,
                )
            )
            for one, content_hash, metadata in updates
        ]
        return partial(self._client.batch_update_points, self._name, operations, wait=True)

    def _look_up(
        self, ids: Sequence[PointId], *, with_payload: bool | list[str]
    ) -> list[dict[str, Any]]:
        """Look points up: `id` and `payload` of those that exist, as Qdrant's JSON has them."""
        if self._reads_json and self._connection.limits.reads_per_minute is None:
            body = orjson.dumps({"ids": list(ids), "with_payload": with_payload})
            try:
                answer = self._connection.call(
                    partial(self._connection.send_json, "POST", "/points", body)
                )
                return cast("list[dict[str, Any]]", answer["result"])
            except RequestTooLargeError:
                pass  # a rate limit is new
        records = self.retrieve_records(ids, with_payload=with_payload)
        return [{"id": normalized_id(one.id), "payload": one.payload} for one in records]

    def _scroll(self, page_size: int, **options: Any) -> Iterator[list[models.Record]]:
        offset, is_last = None, False
        while not is_last:
            page = self._connection.reader.page(page_size, offset, **options)
            records, offset = run_now(page)
            is_last = offset is None
            yield records


def is_finite(vector: Any) -> bool:
    """Return whether a vector, as Qdrant's client reads it, holds neither NaN nor infinity."""
    import numpy as np

    if isinstance(vector, Mapping):
        return all(map(is_finite, vector.values()))
    numbers = getattr(vector, "values", vector)  # of a sparse vector
    return numbers is None or bool(np.isfinite(np.asarray(numbers, dtype=np.float64)).all())


def source_filter(source: str, key: str = SOURCE_KEY) -> models.Filter:
    """Make a filter for the points whose metadata have this source under `key`."""
    from qdrant_client import models

    return models.Filter(must=[_equals(f"{METADATA_KEY}.{key}", source)])


def _point_with_hash(one: PointId, content_hash: str) -> models.Filter:
    return with_ids([one], _equals(HASH_KEY, content_hash))


def _equals(key: str, value: str) -> models.FieldCondition:
    from qdrant_client import models

    return models.FieldCondition(key=key, match=models.MatchValue(value=value))
