"""Copy of a collection from one Qdrant to another, without encoding anything again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import RETRY_FOR_SECONDS, RetryPolicy
from rdr_qdrant.collection.aliases import REINDEX_KEY, Aliases
from rdr_qdrant.collection.bulk_indexing import BULK_KEY
from rdr_qdrant.collection.collection import Collection
from rdr_qdrant.collection.connection import CREATION_KEY, metadata_of
from rdr_qdrant.collection.info import identity_of
from rdr_qdrant.collection.payload import same_json
from rdr_qdrant.collection.point_encoding import PointId, normalized_id
from rdr_qdrant.collection.reservoir import Reservoir
from rdr_qdrant.errors import CollectionError, StoreError

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

PAGE_SIZE = 256
"""Points read and written at a time."""

SAMPLE_SIZE = 200
"""Points that are read back from both sides at the end and compared."""

VECTOR_TOLERANCE = 1e-6
"""Largest difference of a component: for some distances each side normalises vectors again."""


@dataclass(frozen=True, slots=True)
class CopyReport:
    """Result of a copy.

    Attributes:
        collection_name: the collection.
        points: points in the source.
        copied: points written to the target.
        unchanged: points that the target had already.
        verified: points read back from both sides and found equal.
        extra: points in the target beyond those in the source, which are kept; `None` where
            strict mode takes no exact count.
        seconds: duration.
    """

    collection_name: str
    points: int
    copied: int
    unchanged: int
    verified: int
    extra: int | None
    seconds: float


def copy_collection(
    source: QdrantClient,
    target: QdrantClient,
    collection_name: str,
    *,
    progress: Callable[[int, int], None] | None = None,
    index: bool = True,
    on_indexing: Callable[[float], None] | None = None,
    retry_for: float = RETRY_FOR_SECONDS,
    on_retry: Callable[[str, float], None] | None = None,
) -> CopyReport:
    """Copy vectors, payload, metadata, settings and payload indexes; then compare a sample.

    Run again after an interruption, it resumes: points that the target has already are skipped.
    Nothing is deleted: points that only the target has, such as those that the source lost since an
    earlier copy, are kept and counted as `extra`. Points that the source loses during the copy may
    be among them.

    Args:
        source, target: servers or embedded.
        collection_name: its name, the same in both.
        progress: called with the points done and the number of points after each batch.
        index: build an embedded target's index afterwards, where that pays.
        on_indexing: called a few times a second while it is built, with the seconds so far.
        retry_for: seconds for which a call is retried where the connection or the server fails.
        on_retry: called before each wait with the cause and the seconds to wait.

    Raises:
        CollectionError: the source has no such collection; the target has one with other
            vectors, other metadata or, where nothing says that we created it, other points; or
            a point of the sample is not the same in the target.
        StoreError: one of the two does not answer or refuses.
    """
    started = time.monotonic()
    retry = RetryPolicy(retry_for, on_retry)
    origin = Collection(source, collection_name, retry=retry)
    copy = Collection(target, collection_name, retry=retry)
    target_is_empty = _prepare_target(origin, copy, _source_info(origin, Aliases(source, retry)))
    total = origin.points.count()
    sample: Reservoir[PointId] = Reservoir(SAMPLE_SIZE)
    copied = seen = 0
    for records in origin.points.scroll_records(PAGE_SIZE):
        found = {} if target_is_empty else _records_by_id(copy, [r.id for r in records])
        missing = [record for record in records if not _same_point(record, found.get(record.id))]
        _write(copy, missing)
        copied += len(missing)
        seen += len(records)
        ids = [normalized_id(record.id) for record in records]
        sample.offer(len(ids), ids.__getitem__)
        if progress:
            progress(seen, total)
    if index:
        copy.build_index(on_indexing)
    verified = _verify(origin, copy, sample.items)
    return CopyReport(
        collection_name=collection_name,
        points=seen,
        copied=copied,
        unchanged=seen - copied,
        verified=verified,
        extra=_count_extra(origin, copy),
        seconds=time.monotonic() - started,
    )


def _source_info(source: Collection, aliases: Aliases) -> models.CollectionInfo:
    if not source.exists():
        names = ", ".join(aliases.collection_names())
        raise CollectionError(
            f"The source has no collection {source.name!r} (it has: {names or 'none'})."
        )
    return source.info()


def _prepare_target(source: Collection, target: Collection, info: models.CollectionInfo) -> bool:
    """Create the target or check an existing one; returns whether it is empty."""
    if not _create_target(target, info):
        _check_target(source, target, info)
    target.payload_indexes.copy_missing(info)
    return target.points.count() == 0


def _create_target(target: Collection, info: models.CollectionInfo) -> bool:
    if target.exists():
        return False
    try:
        target.create_like(info, _lasting_metadata(info))
    except StoreError:  # perhaps it was created by a call whose answer was lost
        if not target.exists():
            raise
        return False
    return True


def _check_target(source: Collection, target: Collection, info: models.CollectionInfo) -> None:
    found = target.info()
    theirs, ours = (_vector_sizes(one.config.params.vectors) for one in (found, info))
    different = "" if theirs == ours else f"vectors ({theirs}, source: {ours})"
    if not different:
        there, here = _lasting_metadata(found), _lasting_metadata(info)
        keys = sorted(k for k in there.keys() | here.keys() if there.get(k) != here.get(k))
        different = f"metadata ({', '.join(keys)})" if keys else ""
    if different:
        raise CollectionError(
            f"The target has a collection {target.name!r} with other {different}. It is left as it "
            "is; delete it first, or copy elsewhere."
        )
    if identity_of(found) is None:
        _check_only_copied(source, target)


def _check_only_copied(source: Collection, target: Collection) -> None:
    """Refuse a target of unknown origin unless all it holds are points of the source.

    Raises:
        CollectionError: it holds a point that the source does not have, or has differently.
    """
    for records in target.points.scroll_records(PAGE_SIZE):
        sent = _records_by_id(source, [record.id for record in records])
        for record in records:
            if not _same_point(record, sent.get(record.id)):
                raise CollectionError(
                    f"The target has a collection {target.name!r} that does not say that "
                    f"rdr-qdrant made it, and its point {record.id} is not one of the source's. "
                    "It is left as it is; delete it first, or copy elsewhere."
                )


def _write(target: Collection, records: Sequence[models.Record]) -> None:
    too_large = target.points.upsert_records(records)
    if too_large:
        raise CollectionError(
            f"Point {too_large[0]} of {target.name!r} is larger than the target takes in one "
            "request. Raise the server's max_request_size_mb, then run the copy again."
        )


def _verify(source: Collection, target: Collection, sample: Sequence[PointId]) -> int:
    """Compare the points of the sample that the source still has; returns how many they are."""
    sent, arrived = _records_by_id(source, sample), _records_by_id(target, sample)
    for one, record in sent.items():
        if not _same_point(record, arrived.get(one)):
            raise CollectionError(
                f"Point {one} of {target.name!r} is not the same in the target as in the source. "
                "Run the copy again; if it stays so, the target cannot be relied on."
            )
    return len(sent)


def _count_extra(source: Collection, target: Collection) -> int | None:
    counts = [collection.points.count() for collection in (source, target)]
    if not (source.points.counts_exactly and target.points.counts_exactly):
        return None
    return max(0, counts[1] - counts[0])


def _lasting_metadata(info: models.CollectionInfo) -> dict[str, Any]:
    """Return metadata without the marks of an unfinished load, which do not hold for a copy."""
    own = (BULK_KEY, REINDEX_KEY, CREATION_KEY)
    return {key: value for key, value in metadata_of(info).items() if key not in own}


def _vector_sizes(vectors: Any) -> dict[str, tuple[int, str]]:
    named = vectors if isinstance(vectors, Mapping) else {"": vectors} if vectors else {}
    return {name: (params.size, params.distance.value) for name, params in named.items()}


def _records_by_id(collection: Collection, ids: Sequence[Any]) -> dict[Any, models.Record]:
    if not ids:
        return {}
    return {r.id: r for r in collection.points.retrieve_records(ids, with_vectors=True)}


def _same_point(one: models.Record, other: models.Record | None) -> bool:
    return (
        other is not None
        and same_json(one.payload or {}, other.payload or {})
        and _same_vector(one.vector or {}, other.vector or {})
    )


def _same_vector(one: Any, other: Any) -> bool:
    """Compare two vectors up to rounding: dense, multi, named or sparse."""
    import numpy as np

    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same_vector(one[k], other[k]) for k in one)
    if hasattr(one, "indices") and hasattr(other, "indices"):
        first, second = (dict(zip(v.indices, v.values, strict=True)) for v in (one, other))
        keys = sorted(first)
        return keys == sorted(second) and _same_vector(
            [first[k] for k in keys], [second[k] for k in keys]
        )
    if isinstance(one, Mapping) or isinstance(other, Mapping):
        return False
    mine, theirs = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    return mine.shape == theirs.shape and bool(
        np.allclose(mine, theirs, rtol=VECTOR_TOLERANCE, atol=VECTOR_TOLERANCE)
    )
