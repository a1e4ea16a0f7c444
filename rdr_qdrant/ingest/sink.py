"""`Sink`: where a job writes its points."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from rdr_qdrant.ingest.batch_result import BatchResult
from rdr_qdrant.ingest.counters import Counters
from rdr_qdrant.ingest.id_index import IdIndex
from rdr_qdrant.ingest.passage_encoder import VectorType
from rdr_qdrant.ingest.records import EmbeddedBatch, MetadataUpdate, PendingPoint
from rdr_qdrant.ingest.verify import Sample

ReportT = TypeVar("ReportT", covariant=True)

Write = Callable[[EmbeddedBatch | MetadataUpdate], BatchResult]
OnRetry = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class PointDiff:
    """The points of a batch that a sink lacks.

    Attributes:
        to_embed: new points, and those with another title, text or encoder.
        to_update_metadata: points of which only the metadata differ.
        settled: the result of all other points: stored as they are, or rejected.
    """

    to_embed: list[PendingPoint] = field(default_factory=list)
    to_update_metadata: list[PendingPoint] = field(default_factory=list)
    settled: BatchResult = field(default_factory=BatchResult)

    @property
    def needs_writing(self) -> bool:
        """True if anything is to be written."""
        return bool(self.to_embed or self.to_update_metadata)


class Sink(Protocol[ReportT]):
    """A Qdrant collection, or a folder of Parquet files.

    Attributes:
        write_threads: threads that may write at a time; 0 if the job's own thread has to.
        keeps_order: batches are written in the order of their records.
        vector_type: type of the stored components, known once it is prepared.
    """

    write_threads: int
    vector_type: VectorType
    keeps_order: bool

    def open(self) -> None:
        """Find the target; nothing is changed yet."""

    def prepare(self) -> str:
        """Create the target, or check the one that exists; the encoder's fingerprint.

        Called once there is a record to write.
        """

    def diff(self, points: Sequence[PendingPoint]) -> PointDiff:
        """Compare a batch with what is stored; called in the order of the records."""

    def check_target(self) -> None:
        """Raise if the target was replaced by another since `prepare`."""

    def before_first_write(self) -> None:
        """Get the target ready for many writes; may be called more than once."""

    def writer(self, on_retry: OnRetry, give_up: threading.Event) -> Write:
        """A function that writes a batch; other threads call it.

        Args:
            on_retry: called before a call is retried.
            give_up: once set, nothing is retried.
        """

    def look_ahead(self, ids: IdIndex) -> bool:
        """Do a little of what `verify` does, while the last batches are encoded and written.

        Returns:
            False if there was nothing to do.
        """

    def verify(self, ids: IdIndex, sample: Sample, counters: Counters) -> None:
        """Check that everything is stored.

        Args:
            ids: every point of the job.
            sample: some of them as they were sent.
            counters: of the job; `verified` and `compared` are added.
        """

    def prune(self, ids: IdIndex, counters: Counters) -> None:
        """Delete what the sources no longer have, if that was asked for and is possible."""

    def publish(self, counters: Counters) -> None:
        """Make the result visible: build the index, move the alias, complete the manifest."""

    def report(self, counters: Counters, *, in_hand: int = 0) -> ReportT:
        """The report so far, while the job runs."""

    def close(self, counters: Counters, *, interrupted: bool, failed: bool) -> ReportT | None:
        """End the use of the target, and make the final report unless the job failed."""
