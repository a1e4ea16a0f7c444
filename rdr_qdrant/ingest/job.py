"""`IngestJob`: the one loop, from the first record to the report."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from rdr_qdrant.errors import StoreError
from rdr_qdrant.ingest.batch_result import BatchResult, RetryEvent
from rdr_qdrant.ingest.cancellation import Cancellation, JobCancelled
from rdr_qdrant.ingest.counters import Counters
from rdr_qdrant.ingest.executor import Execution, Executor
from rdr_qdrant.ingest.id_index import IdIndex
from rdr_qdrant.ingest.partitions import PartitionReader
from rdr_qdrant.ingest.passage_encoder import PassageEncoder
from rdr_qdrant.ingest.records import RecordBatch
from rdr_qdrant.ingest.sink import OnRetry, Sink
from rdr_qdrant.ingest.verify import IDS_PER_REQUEST, Sample, VerificationError, new_sample
from rdr_qdrant.readers import Reject, RejectHandler

ReportT = TypeVar("ReportT")

RESULTS_PER_CHECK = 200
"""Results between two checks that the target is still the one that was prepared."""


@dataclass(kw_only=True)
class IngestJob(Generic[ReportT]):
    """One load or export; each needs a new one.

    Every record is in the counters once. Handlers are called in the thread that runs the job.

    Args:
        reader: the partitions.
        encoder: makes the vectors.
        sink: where to.
        executor: runs the batches.
        counters: of the job.
        cancellation: ends the job early, once what is in flight is done.
        on_reject: called with each reject.
        on_progress: called with the report so far whenever there is something new.
        on_retry: called before a call is retried, with the reason and the seconds until then.
    """

    reader: PartitionReader
    encoder: PassageEncoder
    sink: Sink[ReportT]
    executor: Executor
    counters: Counters
    cancellation: Cancellation
    on_reject: RejectHandler | None = None
    on_progress: Callable[[ReportT], None] | None = None
    on_retry: OnRetry | None = None

    _ids: IdIndex = field(init=False, default_factory=IdIndex)
    _sample: Sample = field(init=False, default_factory=new_sample)
    _reported: int = field(init=False, default=0)
    _results: int = field(init=False, default=0)

    def run(self) -> ReportT:
        """read -> deduplicate -> diff -> execute -> verify -> prune -> publish.

        Returns:
            The report; `interrupted` if the job was cancelled.

        Raises:
            RDRQdrantError: what ended the job; finished batches are kept.
        """
        interrupted, failed = False, True
        with closing(self._ids), closing(self.reader):
            try:
                with _little_garbage_collection() as freeze_all:
                    fingerprint = self._prepare()
                    freeze_all()  # the encoder's too
                    self.executor.execute(self._execution(fingerprint))
                    self.sink.verify(self._ids, self._sample, self.counters)
                    self.sink.prune(self._ids, self.counters)
                self.sink.publish(self.counters)
                failed = False
            except JobCancelled:
                interrupted, failed = True, False
            except VerificationError:
                raise
            except StoreError:
                if not self.cancellation.requested.is_set():
                    raise
                interrupted, failed = True, False
            finally:
                report = self.sink.close(self.counters, interrupted=interrupted, failed=failed)
        assert report is not None
        return report

    def _prepare(self) -> str:
        """Open the sink, and prepare it if there is a record to write; the fingerprint if so."""
        self.sink.open()
        fingerprint = ""
        if self.reader.probe_first_record(self._apply_rejects):
            with self.cancellation.allow_interrupt():
                fingerprint = self.sink.prepare()
                if fingerprint:
                    self.reader.use_batch_size(self.encoder)
        return fingerprint

    def _execution(self, fingerprint: str) -> Execution:
        return Execution(
            reader=self.reader,
            ids=self._ids,
            encoder=self.encoder,
            fingerprint=fingerprint,
            sink=self.sink,
            apply=self._apply,
            cancellation=self.cancellation,
            look_ahead=self._look_ahead,
        )

    def _look_ahead(self) -> bool:
        """Begin to verify what is written already, if it is worth a request."""
        return self.counters["uploaded"] >= IDS_PER_REQUEST and self.sink.look_ahead(self._ids)

    def _apply(self, result: BatchResult | RetryEvent) -> None:
        """Count what happened, and report it.

        Raises:
            RDRQdrantError: what ended the batch.
        """
        if isinstance(result, RetryEvent):
            self.counters.add({"retries": 1})
            if self.on_retry:
                self.on_retry(result.reason, result.seconds)
            return
        if result.counts["uploaded"] or result.counts["updated"]:
            self.sink.before_first_write()
        self._results += 1
        if self._results % RESULTS_PER_CHECK == 0:
            self.sink.check_target()
        self.counters.add(result.counts)
        for point in result.rejected_ids:
            self._ids.reject(point)
        if result.partition is not None:
            self._ids.add_many(result.stored_ids)
            source = self.reader.partitions[result.partition].source
            if source and self.reader.is_read_elsewhere(result.partition):
                source.set_progress(result.rows_read, result.fraction_read)
        self._sample.merge(result.sample)
        for reject in result.rejects:
            self._reject(reject)
        if result.error:
            raise result.error
        self._report_progress()

    def _apply_rejects(self, batch: RecordBatch) -> None:
        for reject in batch.rejects:
            self._reject(reject)

    def _reject(self, reject: Reject) -> None:
        self.counters.add({"read": 1, "rejected": 1})
        if self.on_reject:
            self.on_reject(reject)

    def _report_progress(self) -> None:
        read = self.counters["read"]
        if self.on_progress and read > self._reported:
            self._reported = read
            in_hand = max(0, self.reader.rows_taken - read)
            self.on_progress(self.sink.report(self.counters, in_hand=in_hand))


FROZEN_BY_PYTHON = 10_000
"""Objects that Python may freeze when it starts; 3.12 freezes some hundreds."""
NEW_OBJECTS_PER_COLLECTION = 50_000
"""New objects after which Python looks for garbage during a job; by default 700 (3.13: 2,000)."""


@contextmanager
def _little_garbage_collection() -> Iterator[Callable[[], None]]:
    """Let the garbage collector go through few objects while a job runs.

    The libraries have some 400,000. A job makes so many new ones that Python would go through all
    of them every 30,000 passages, in a fifth of the time of a load whose encoder is fast, and
    nothing else could run meanwhile. So they are frozen, unless the caller has frozen his own; and
    Python looks less often, since what a job makes has no cycles.

    Yields:
        What freezes all objects that exist when it is called.
    """
    thresholds = gc.get_threshold()
    is_often = 0 < thresholds[0] < NEW_OBJECTS_PER_COLLECTION  # 0: it is off
    if is_often:
        gc.set_threshold(NEW_OBJECTS_PER_COLLECTION, *thresholds[1:])
    freeze = gc.freeze if gc.get_freeze_count() <= FROZEN_BY_PYTHON else None
    if freeze:
        freeze()
    try:
        yield freeze or (lambda: None)
    finally:
        if is_often:  # else another job may have set it, and reset it meanwhile
            gc.set_threshold(*thresholds)
        if freeze:
            gc.unfreeze()
