"""`ThreadExecutor`: embedding and writing beside reading, in threads of this process.

    the caller reads, deduplicates, diffs -> a thread embeds -> some threads write -> the caller

So little waits in between that memory does not depend on the corpus. Results and retries are
reported in the caller's own thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

from rdr_qdrant.ingest.batch_result import BatchResult, RetryEvent, merge_results
from rdr_qdrant.ingest.executor import Execution
from rdr_qdrant.ingest.id_index import deduplicate
from rdr_qdrant.ingest.passage_encoder import embed, embed_in_order, tokenize
from rdr_qdrant.ingest.records import EmbeddedBatch, MetadataUpdate, TokenizedBatch, to_pending
from rdr_qdrant.ingest.sink import Write

TOKENIZED_BATCHES = 2
"""Tokenized batches that wait for a thread that embeds or are being embedded, for each of them."""
BATCHES_PER_WRITER = 2
"""Batches that wait for a writer or are being written, for each writer."""
SECONDS_BETWEEN_CHECKS = 0.1


class ThreadExecutor:
    """Runs a job in threads of this process."""

    reads_files = False

    def execute(self, run: Execution) -> None:
        """See `Executor.execute`."""
        sink, encoder = run.sink, run.encoder
        embed_batch = embed_in_order if sink.keeps_order else embed
        give_up = threading.Event()
        pipeline = Pipeline(
            run,
            lambda batch: embed_batch(encoder, batch, sink.vector_type),
            embedders=encoder.encoding_threads() if run.fingerprint else 1,  # else: nothing to do
        )
        pipeline.write = sink.writer(pipeline.post_retry, give_up)
        try:
            for batch in run.reader.batches():
                batch = deduplicate(batch, run.ids)
                diff = sink.diff([to_pending(one, run.fingerprint) for one in batch.records])
                run.apply(merge_results([BatchResult.of_reading(batch), diff.settled]))
                if diff.needs_writing:
                    sink.before_first_write()
                if diff.to_update_metadata:
                    pipeline.submit_write(MetadataUpdate(diff.to_update_metadata))
                if diff.to_embed:
                    with run.cancellation.allow_interrupt():  # the encoder may have to be loaded
                        is_whole = len(diff.to_embed) == len(batch.records)
                        tokens = tokenize(encoder, diff.to_embed, is_whole=is_whole)
                    pipeline.submit(tokens)
                if batch.error:
                    pipeline.join()
                    raise batch.error
            pipeline.join(run.look_ahead)
        except BaseException:
            give_up.set()
            pipeline.finish_in_flight()
            raise
        finally:
            pipeline.close()


class Pipeline:
    """Tokenized batches in; a thread embeds them (beside a GPU two), some threads write them.

    Args:
        run: whose results are applied, and whose cancellation is checked, while the caller waits.
        embed: gives the parts of a batch their vectors, each as soon as it is ready.
        embedders: threads that embed.

    Attributes:
        write: writes a batch; has to be set before the first batch is submitted.
    """

    write: Write

    def __init__(
        self,
        run: Execution,
        embed: Callable[[TokenizedBatch], Iterator[EmbeddedBatch]],
        *,
        embedders: int = 1,
    ) -> None:
        self._run = run
        self._embed = embed
        writers = run.sink.write_threads
        self._embedders = ThreadPoolExecutor(embedders, "embed")
        self._writers = ThreadPoolExecutor(writers, "write") if writers else None
        self._free_for_tokenized = threading.Semaphore(TOKENIZED_BATCHES * embedders)
        self._free_for_writes = threading.Semaphore(BATCHES_PER_WRITER * max(1, writers))
        self._events: SimpleQueue[
            BatchResult | RetryEvent | EmbeddedBatch | MetadataUpdate | BaseException
        ] = SimpleQueue()
        self._stopped = threading.Event()
        self._keeps_order = run.sink.keeps_order
        self._last: Future[bool] = Future()
        self._last.set_result(True)
        self._in_flight = 0
        self._lock = threading.Lock()

    def submit(self, batch: TokenizedBatch) -> None:
        """Hand a batch to the encoder as soon as there is space for it.

        Raises:
            Exception: what embedding, writing, `apply` or the cancellation raised.
        """
        self._wait_until(lambda: self._free_for_tokenized.acquire(blocking=False))
        self._add_in_flight(1)
        before, self._last = self._last, Future()
        self._embedders.submit(self._embed_batch, batch, before, self._last)

    def submit_write(self, batch: EmbeddedBatch | MetadataUpdate) -> None:
        """Hand a batch to the writers as soon as there is space for it.

        Raises:
            Exception: as `submit`.
        """
        self._wait_until(lambda: self._free_for_writes.acquire(blocking=False))
        self._hand_to_writers(batch)

    def join(self, meanwhile: Callable[[], bool] = lambda: False) -> None:
        """Wait until everything is written.

        Args:
            meanwhile: see `Execution.look_ahead`.

        Raises:
            Exception: as `submit`; or what `meanwhile` raised.
        """
        self._wait_until(lambda: self._in_flight == 0, meanwhile)

    def post_retry(self, reason: str, seconds: float) -> None:
        """Report a retry; from any thread."""
        self._events.put(RetryEvent(reason, seconds))

    def finish_in_flight(self) -> None:
        """Finish the batches that are being embedded or written, and apply their results.

        Errors are dropped, of writing as of applying: another one has ended the job.
        """
        self.close()
        while not self._events.empty():
            event = self._events.get()
            with suppress(Exception):
                if isinstance(event, EmbeddedBatch | MetadataUpdate):
                    event = self.write(event)
                if isinstance(event, BatchResult):
                    self._run.apply(event)

    def close(self) -> None:
        """Start nothing more, and wait for the threads."""
        self._stopped.set()
        self._embedders.shutdown()
        if self._writers:
            self._writers.shutdown()

    def _wait_until(
        self, ready: Callable[[], bool], meanwhile: Callable[[], bool] = lambda: False
    ) -> None:
        """Apply results, in the order in which they come, until `ready`."""
        while True:
            is_ready = ready()
            while not self._events.empty():
                self._handle(self._events.get())
            if is_ready:
                return
            self._run.cancellation.check()
            if meanwhile():
                continue
            try:
                self._handle(self._events.get(timeout=SECONDS_BETWEEN_CHECKS))
            except Empty:
                continue

    def _handle(
        self, event: BatchResult | RetryEvent | EmbeddedBatch | MetadataUpdate | BaseException
    ) -> None:
        if isinstance(event, BaseException):
            raise event
        if isinstance(event, EmbeddedBatch | MetadataUpdate):  # no thread but this one may write
            self._free_for_writes.release()
            event = self.write(event)
        self._run.apply(event)

    def _embed_batch(
        self, batch: TokenizedBatch, before: Future[bool], handed_on: Future[bool]
    ) -> None:
        """In a thread that embeds: hand each part to the writers as soon as it is ready.

        Where the order is kept, that is not before all of the batch before is handed on; if that
        was broken off, nothing of this one is.

        Args:
            batch: the batch.
            before: whether all of the batch before was handed on.
            handed_on: the same of this one, to be set.
        """
        is_whole = False
        try:
            with self._end_of_work(self._free_for_tokenized):
                is_whole = self._hand_on_parts(batch, before)
        finally:
            handed_on.set_result(is_whole)

    def _hand_on_parts(self, batch: TokenizedBatch, before: Future[bool]) -> bool:
        if self._stopped.is_set():
            return False
        for embedded in self._embed(batch):
            if self._keeps_order and not before.result():
                return False
            while not self._free_for_writes.acquire(timeout=SECONDS_BETWEEN_CHECKS):
                if self._stopped.is_set():
                    break  # nobody frees space any more, but nothing embedded is dropped
            self._hand_to_writers(embedded)
            if self._stopped.is_set() and not self._keeps_order:
                return False
        return True  # in order, all of a batch is one part

    def _hand_to_writers(self, batch: EmbeddedBatch | MetadataUpdate) -> None:
        if self._writers:
            self._add_in_flight(1)
            self._writers.submit(self._write_batch, batch)
        else:
            self._events.put(batch)

    def _write_batch(self, batch: EmbeddedBatch | MetadataUpdate) -> None:
        """In a thread that writes."""
        with self._end_of_work(self._free_for_writes):
            self._events.put(self.write(batch))

    @contextmanager
    def _end_of_work(self, space: threading.Semaphore) -> Iterator[None]:
        """In a thread: free the space of a batch afterwards, and report an error."""
        try:
            yield
        except BaseException as error:
            self._stopped.set()  # no further batch is begun
            self._events.put(error)
        finally:
            space.release()
            self._add_in_flight(-1)

    def _add_in_flight(self, more: int) -> None:
        with self._lock:
            self._in_flight += more
