"""`BatchResult`: the result of a batch, from threads and from Ray's workers alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rdr_qdrant.collection import PointId, Sampled
from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.ingest.records import PendingPoint, RecordBatch
from rdr_qdrant.ingest.verify import SentPoint
from rdr_qdrant.readers import Reject


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a batch, or of a part of it; a record is in the results of a job once.

    Attributes:
        counts: by the names of `Counters`; `rejected` is not among them, see `rejects`.
        rejects: records and rows that cannot be used or stored.
        stored_ids: points that the sink has now.
        rejected_ids: points that were deduplicated and then rejected.
        sample: some of the stored points, to be read back at the end.
        partition: index of the partition, where another process read it.
        rows_read: rows of that partition read so far.
        fraction_read: how much of it that is, 0 to 1; `None` if unknown.
        error: what ended the batch; what was done before is in the counts.
    """

    counts: Counter[str] = field(default_factory=Counter)
    rejects: Sequence[Reject] = ()
    stored_ids: Sequence[PointId] = ()
    rejected_ids: Sequence[PointId] = ()
    sample: Sequence[Sampled[SentPoint]] = ()
    partition: int | None = None
    rows_read: int = 0
    fraction_read: float | None = None
    error: RDRQdrantError | None = None

    @classmethod
    def of_reading(cls, batch: RecordBatch) -> BatchResult:
        """The duplicates and rejects of a batch that was read and deduplicated."""
        counts = Counter(
            read=batch.duplicates, duplicates=batch.duplicates, id_conflicts=batch.id_conflicts
        )
        return cls(counts, batch.rejects)


def reject_points(points: Iterable[PendingPoint], reason: str) -> BatchResult:
    """The result of points that are rejected."""
    rejected = list(points)
    return BatchResult(
        rejects=[point.record.to_reject(reason) for point in rejected],
        rejected_ids=[point.id for point in rejected],
    )


@dataclass(frozen=True, slots=True)
class RetryEvent:
    """A call that is about to be retried: why, and the seconds until then."""

    reason: str
    seconds: float


def merge_results(results: Iterable[BatchResult]) -> BatchResult:
    """Several results as one; the first error is kept."""
    merged = list(results)
    counts: Counter[str] = Counter()
    for result in merged:
        counts.update(result.counts)
    return BatchResult(
        counts=counts,
        rejects=[reject for one in merged for reject in one.rejects],
        stored_ids=[point for one in merged for point in one.stored_ids],
        rejected_ids=[point for one in merged for point in one.rejected_ids],
        sample=[sampled for one in merged for sampled in one.sample],
        error=next((one.error for one in merged if one.error), None),
    )
