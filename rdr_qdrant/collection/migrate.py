"""A collection from one Qdrant to another, as it is: nothing is encoded again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import build_index, translate_client_errors
from rdr_qdrant.collection.aliases import REINDEX_KEY
from rdr_qdrant.collection.bulk_indexing import BULK_KEY
from rdr_qdrant.collection.info import IDENTITY_KEY
from rdr_qdrant.collection.payload import same_json
from rdr_qdrant.collection.reservoir import Reservoir
from rdr_qdrant.errors import CollectionError

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

POINTS_AT_A_TIME = 256
SAMPLE = 200
"""Points that are read back from both sides at the end and compared."""

VECTOR_TOLERANCE = 1e-6
"""Largest difference of one number: some distances are stored normalised, anew on each side."""


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a copy did.

    Attributes:
        collection_name: the collection.
        points: points in the source.
        copied: written to the target.
        unchanged: already there, the same.
        verified: points read back from both sides and found equal.
        seconds: from start to end.
    """

    collection_name: str
    points: int
    copied: int
    unchanged: int
    verified: int
    seconds: float


def copy_collection(
    source: QdrantClient,
    target: QdrantClient,
    collection_name: str,
    *,
    progress: Callable[[int, int], None] | None = None,
    index: bool = True,
    on_indexing: Callable[[float], None] | None = None,
) -> CopyReport:
    """Copy vectors, payload, metadata, settings and payload indexes; then compare a sample.

    Run again after an interruption it goes on: what the target already has, the same, is skipped.

    Args:
        source, target: servers or embedded.
        collection_name: its name, the same in both.
        progress: called with the points done and the points in all after each batch.
        index: build an embedded target's index afterwards, where that pays.
        on_indexing: called a few times a second while it is built, with the seconds so far.

    Raises:
        CollectionError: the source has no such collection, the target has one with other
            vectors, other metadata or, where nothing says that we made it, with points of its
            own; or what arrived is not what was sent.
        StoreError: one of the two does not answer or refuses.
    """
    started = time.monotonic()
    info = _describe(source, collection_name)
    fresh = _prepare(source, target, collection_name, info)
    with translate_client_errors(source):
        total = source.count(collection_name, exact=True).count
    sample: Reservoir[Any] = Reservoir(SAMPLE)
    copied = seen = 0
    offset: Any = None
    while True:
        with translate_client_errors(source):
            records, offset = source.scroll(
                collection_name, limit=POINTS_AT_A_TIME, offset=offset, with_vectors=True
            )
        there = {} if fresh else _by_id(target, collection_name, [r.id for r in records])
        missing = [r for r in records if not _same(r, there.get(r.id))]
        _write(target, collection_name, missing)
        copied += len(missing)
        seen += len(records)
        for record in records:
            sample.offer(lambda kept=record.id: kept)  # type: ignore[misc]
        if progress:
            progress(seen, total)
        if offset is None:
            break
    if index:
        with translate_client_errors(target):
            build_index(target, collection_name, on_indexing)
    _verify(source, target, collection_name, sample.items)
    return CopyReport(
        collection_name=collection_name,
        points=seen,
        copied=copied,
        unchanged=seen - copied,
        verified=len(sample.items),
        seconds=time.monotonic() - started,
    )


def _describe(source: QdrantClient, name: str) -> models.CollectionInfo:
    with translate_client_errors(source):
        if not source.collection_exists(name):
            names = ", ".join(sorted(c.name for c in source.get_collections().collections))
            raise CollectionError(
                f"The source has no collection {name!r} (it has: {names or 'none'})."
            )
        return source.get_collection(name)


def _prepare(
    source: QdrantClient, target: QdrantClient, name: str, info: models.CollectionInfo
) -> bool:
    """Make the collection in the target, or check the one that is there; whether it is empty."""
    with translate_client_errors(target):
        if target.collection_exists(name):
            there = target.get_collection(name).config
            theirs, ours = there.params.vectors, info.config.params.vectors
            if _essentials(theirs) != _essentials(ours) or (
                _lasting(there.metadata) != _lasting(info.config.metadata)
            ):
                raise CollectionError(
                    f"The target has a collection {name!r} with other vectors or other metadata "
                    f"({_essentials(theirs)}, source: {_essentials(ours)}). It is left as it is; "
                    "delete it first, or copy elsewhere."
                )
            fresh = target.count(name, exact=True).count == 0
            if not (fresh or IDENTITY_KEY in (there.metadata or {})):
                _check_only_copied(source, target, name)
            return fresh
        target.create_collection(name, **_settings(info.config))
        for field, schema in (info.payload_schema or {}).items():
            target.create_payload_index(name, field, schema.params or schema.data_type, wait=True)
    return True


def _check_only_copied(source: QdrantClient, target: QdrantClient, name: str) -> None:
    """Nothing says who made the target: go on only if it is the beginning of this very copy.

    Raises:
        CollectionError: it holds a point that the source has not, or has otherwise.
    """
    offset: Any = None
    while True:
        with translate_client_errors(target):
            records, offset = target.scroll(
                name, limit=POINTS_AT_A_TIME, offset=offset, with_vectors=True
            )
        sent = _by_id(source, name, [record.id for record in records])
        for record in records:
            if not _same(record, sent.get(record.id)):
                raise CollectionError(
                    f"The target has a collection {name!r} that does not say that rdr-qdrant made "
                    f"it, and its point {record.id} is not one of the source's. It is left as it "
                    "is; delete it first, or copy elsewhere."
                )
        if offset is None:
            return


def _settings(config: models.CollectionConfig) -> dict[str, Any]:
    """The parameters of `create_collection` that make a collection with this configuration."""
    from qdrant_client import models

    params = config.params
    hnsw = models.HnswConfigDiff.model_validate(config.hnsw_config.model_dump())
    settings = {
        "vectors_config": params.vectors,
        "sparse_vectors_config": params.sparse_vectors,
        "on_disk_payload": params.on_disk_payload,
        "hnsw_config": hnsw,
        "quantization_config": config.quantization_config,
        "payload": params.payload,
        "id_tracker": params.id_tracker,
        "metadata": _lasting(config.metadata) or None,
    }
    return {name: value for name, value in settings.items() if value is not None}


def _lasting(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Metadata without the notes of a load that has not ended: they do not hold for a copy."""
    passing = (BULK_KEY, REINDEX_KEY)
    return {key: value for key, value in (metadata or {}).items() if key not in passing}


def _essentials(vectors: Any) -> dict[str, tuple[int, str]]:
    named = vectors if isinstance(vectors, Mapping) else {"": vectors} if vectors else {}
    return {name: (params.size, params.distance.value) for name, params in named.items()}


def _by_id(client: QdrantClient, name: str, ids: Sequence[Any]) -> dict[Any, models.Record]:
    with translate_client_errors(client):
        return {r.id: r for r in client.retrieve(name, ids, with_payload=True, with_vectors=True)}


def _write(target: QdrantClient, name: str, records: Sequence[models.Record]) -> None:
    from qdrant_client import models

    points = [
        models.PointStruct.model_construct(id=r.id, vector=r.vector or {}, payload=r.payload or {})
        for r in records
    ]
    if points:
        with translate_client_errors(target):
            target.upsert(name, points=points, wait=True)


def _verify(source: QdrantClient, target: QdrantClient, name: str, sample: Sequence[Any]) -> None:
    for start in range(0, len(sample), POINTS_AT_A_TIME):
        ids = sample[start : start + POINTS_AT_A_TIME]
        sent, arrived = _by_id(source, name, ids), _by_id(target, name, ids)
        for one in ids:
            if not _same(sent[one], arrived.get(one)):
                raise CollectionError(
                    f"Point {one} of {name!r} is not the same in the target as in the source. "
                    "Run the copy again; if it stays so, the target cannot be relied on."
                )


def _same(one: models.Record, other: models.Record | None) -> bool:
    return (
        other is not None
        and same_json(one.payload or {}, other.payload or {})
        and _same_vector(one.vector or {}, other.vector or {})
    )


def _same_vector(one: Any, other: Any) -> bool:
    """Equal up to rounding: a vector, several vectors, named ones, or a sparse one."""
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
