"""`QdrantWriter`: compares batches with a collection and writes them; in threads and in workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rdr_qdrant.collection import Collection, Point
from rdr_qdrant.collection.payload import same_json
from rdr_qdrant.collection.points import StoredPoint
from rdr_qdrant.ingest.batch_result import BatchResult, merge_results, reject_points
from rdr_qdrant.ingest.passage_encoder import VectorType, unstorable_reason
from rdr_qdrant.ingest.records import EmbeddedBatch, MetadataUpdate, PendingPoint
from rdr_qdrant.ingest.sink import PointDiff
from rdr_qdrant.ingest.verify import Sample, SentPoint, new_sample

ID_TAKEN = "its point id is taken by a point that other software wrote"
TOO_LARGE = "larger than Qdrant takes in one request"


class QdrantWriter:
    """Writes the batches of a job; threads may share one if its collection allows.

    Args:
        collection: where to.
        vector_type: in which it stores vectors.
        sample: stored points are offered to it; results carry those that it keeps.
    """

    def __init__(
        self, collection: Collection, vector_type: VectorType, sample: Sample | None = None
    ) -> None:
        self._collection = collection
        self._vector_type = vector_type
        self._sample = sample or new_sample()

    def diff(self, points: Sequence[PendingPoint]) -> PointDiff:
        """Compare points with those that are stored.

        Raises:
            StoreError: Qdrant does not answer or refuses.
        """
        diff = PointDiff()
        stored = self._collection.points.retrieve([point.id for point in points]) if points else {}
        unchanged, conflicting = [], []
        source_changed = 0
        for point in points:
            found = stored.get(point.id)
            if found is not None and found.content_hash is None:
                conflicting.append(point)
                continue
            if found is None or found.content_hash != point.content_hash:
                diff.to_embed.append(point.replacing() if found else point)
            elif not same_json(point.metadata, found.metadata):
                diff.to_update_metadata.append(point)
            else:
                unchanged.append(point)
                continue
            source_changed += found is not None and _source_differs(point, found)
        result = self._result(unchanged, "unchanged", rejected=conflicting, reason=ID_TAKEN)
        result.counts["taken_over"] = source_changed
        return PointDiff(diff.to_embed, diff.to_update_metadata, result)

    def write(self, batch: EmbeddedBatch | MetadataUpdate) -> BatchResult:
        """Write points, or only their metadata.

        Raises:
            StoreError: Qdrant does not answer or refuses.
        """
        if isinstance(batch, MetadataUpdate):
            changes = [(point.id, point.content_hash, point.metadata) for point in batch.points]
            refused = set(self._collection.points.replace_metadata(changes))
            vectors: Any = None
            truncations: Sequence[bool] = [False] * len(batch.points)
            counter, stale_vectors = "updated", 0
        else:
            pairs = zip(batch.points, batch.vectors, strict=True)
            points = [Point(point.id, vector, point.payload) for point, vector in pairs]
            existing = {point.id for point in batch.points if point.replaces}
            upserted = self._collection.points.upsert(points, existing)
            refused, stale_vectors = set(upserted.too_large), len(upserted.stale)
            vectors, truncations, counter = batch.vectors, batch.truncated, "uploaded"
        written = [row for row, point in enumerate(batch.points) if point.id not in refused]
        result = self._result(
            [batch.points[row] for row in written],
            counter,
            vector_of=None if vectors is None else lambda number: vectors[written[number]],
            rejected=[point for point in batch.points if point.id in refused],
            reason=TOO_LARGE,
        )
        truncated = sum(truncations[row] for row in written)
        result.counts.update(truncated=truncated, stale_vectors=stale_vectors)
        if isinstance(batch, EmbeddedBatch) and batch.unstorable:
            reason = unstorable_reason(self._vector_type)
            return merge_results([result, reject_points(batch.unstorable.values(), reason)])
        return result

    def _result(
        self,
        stored: Sequence[PendingPoint],
        counter: str,
        *,
        vector_of: Callable[[int], Any] | None = None,
        rejected: Sequence[PendingPoint],
        reason: str,
    ) -> BatchResult:
        def sent(number: int) -> SentPoint:
            return SentPoint.of(stored[number], vector_of(number) if vector_of else None)

        return replace(
            reject_points(rejected, reason),
            counts=Counter({"read": len(stored), counter: len(stored)}),
            stored_ids=[point.id for point in stored],
            sample=self._sample.offer(len(stored), sent),
        )


def _source_differs(point: PendingPoint, stored: StoredPoint) -> bool:
    return bool(stored.metadata.get("source") != point.metadata.get("source"))
