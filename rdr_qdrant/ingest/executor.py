"""`Executor`: runs the batches of a job, in threads of this process or in other processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from rdr_qdrant.ingest.batch_result import BatchResult, RetryEvent
from rdr_qdrant.ingest.cancellation import Cancellation
from rdr_qdrant.ingest.id_index import IdIndex
from rdr_qdrant.ingest.partitions import PartitionReader
from rdr_qdrant.ingest.passage_encoder import PassageEncoder
from rdr_qdrant.ingest.sink import Sink


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of a job, as an executor needs it.

    Attributes:
        reader: the partitions; another process may read those that are files.
        ids: where ids are deduplicated in this process.
        encoder: makes the vectors.
        fingerprint: of the encoder.
        sink: where to.
        apply: called in the caller's thread with what happened; may raise.
        cancellation: ends the run once what is in flight is done.
        look_ahead: may be called while the last batches are encoded and written, in the caller's
            thread; does a little of what comes afterwards. Returns False if there was nothing to
            do; there may be when another batch is written.
    """

    reader: PartitionReader
    ids: IdIndex
    encoder: PassageEncoder
    fingerprint: str
    sink: Sink[Any]
    apply: Callable[[BatchResult | RetryEvent], None]
    cancellation: Cancellation
    look_ahead: Callable[[], bool] = lambda: False


class Executor(Protocol):
    """Reads, deduplicates, diffs, embeds and writes all batches of a job.

    Attributes:
        reads_files: partitions that are files are read in other processes.
    """

    reads_files: bool

    def execute(self, run: Execution) -> None:
        """Run all batches; of records with one id the first, in the order of the partitions.

        However it ends, the results of all finished batches were applied.

        Raises:
            JobCancelled: the job was asked to stop; nothing is in flight.
            RDRQdrantError: a batch failed, or a source cannot be read on.
        """
