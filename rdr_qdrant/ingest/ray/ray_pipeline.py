"""`RayPipeline`: the batches of one job on their way through Ray Data.

    read tasks, side by side -> deduplicator, one actor -> workers, one actor each -> driver

Batches keep their order all the way, so rejects and counts are reported as with threads. All of it
is streamed: no operator holds more than a few batches for each worker.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from rdr_qdrant.ingest.batch_result import BatchResult
from rdr_qdrant.ingest.executor import Execution
from rdr_qdrant.ingest.ray.codec import decode_results
from rdr_qdrant.ingest.ray.control_actor import ControlActor
from rdr_qdrant.ingest.ray.datasource import READ_TASKS, record_datasource
from rdr_qdrant.ingest.ray.deduplicator import Deduplicator
from rdr_qdrant.ingest.ray.errors import WorkerError, to_rdr_error
from rdr_qdrant.ingest.ray.runtime import SECONDS_BETWEEN_CLUSTER_CHECKS, count_possible_workers
from rdr_qdrant.ingest.ray.spool import Spool
from rdr_qdrant.ingest.ray.worker import Worker, WorkerOptions
from rdr_qdrant.ingest.records import RecordBatch

BATCHES_PER_WORKER = 3
"""Batches that a worker has at a time: one is embedded, others are diffed or written.

One where the rate of writes is limited."""
BATCHES_AHEAD = 8
"""Batches for each worker that the driver reads ahead."""
DEDUPLICATOR_BYTES = 200 * 2**20
"""Memory of the deduplicator. Read tasks do not ask for any: Ray Data fuses operators that need the
same resources, and then all partitions would be read in one process."""
SECONDS_BETWEEN_CHECKS = 0.1
SECONDS_BETWEEN_RETRY_POLLS = 1.0
SECONDS_FOR_LAST_RETRIES = 10.0
SECONDS_TO_END = 30.0


class RayPipeline:
    """One run of a job; it starts at once.

    Nothing of it is left after `close`, even if it waits for a machine: Ray ends a process that
    leaves the cluster while one of its threads still calls Ray.

    Args:
        run: whose results are applied, and whose cancellation is checked, while the caller waits.
        options: of the workers.
        resources: of a worker (`num_cpus`, `num_gpus`).
    """

    def __init__(
        self, run: Execution, options: WorkerOptions, resources: Mapping[str, float]
    ) -> None:
        self._run = run
        self._options = options
        self._resources = resources
        self._folder = tempfile.TemporaryDirectory(prefix="rdr-qdrant-job-")
        self._spools = {
            number: Spool(number, Path(self._folder.name))
            for number in range(len(run.reader.partitions))
            if not run.reader.is_read_elsewhere(number)
        }
        self._results: SimpleQueue[BatchResult | Exception | None] = SimpleQueue()
        self._finished = False
        self._lacks_machines = False
        self._retries: Any = None
        self._retries_polled = self._cluster_checked = time.monotonic()
        self._control = _start_control_actor()
        self._end = Path(self._folder.name, "end")
        dataset = self._dataset(Path(self._folder.name))
        self._thread = threading.Thread(
            target=self._collect_results, args=(dataset,), name="ray-data", daemon=True
        )
        self._thread.start()

    def submit(self, batch: RecordBatch) -> None:
        """Hand on a batch that the driver has read, once there is space for it.

        If a machine was lost, its worker is restarted only when another has nothing left to do, and
        the results after its batches wait for them: then the driver hands on without waiting.

        Raises:
            RDRQdrantError: a batch failed, or the pipeline did.
            Exception: raised by `apply` or the cancellation.
        """
        spool = self._spools[batch.partition]
        limit = BATCHES_AHEAD * self._options.workers
        self._wait_until(lambda: spool.in_flight < limit or self._lacks_machines)
        spool.write(batch.records)

    def drain(self, partition: int) -> None:
        """Wait for all batches submitted of a partition; nothing more can be submitted.

        Raises:
            Exception: as `submit`.
        """
        for spool in self._spools.values():  # as long as more may come, no worker is given up
            spool.end()
        self._wait_until(lambda: self._spools[partition].in_flight == 0)

    def end_partition(self, partition: int) -> None:
        """Submit no more of a partition."""
        self._spools[partition].end()

    def join(self) -> None:
        """Wait until everything is done; all partitions that the driver reads have ended.

        Raises:
            Exception: as `submit`.
        """
        self._wait_until(lambda: self._finished)
        self._apply_retries(last=True)

    def finish_in_flight(self, *, failed: bool) -> None:
        """Begin no further batch, and apply the results of those that the workers have.

        Their errors are dropped: something else has ended the run.

        Args:
            failed: that was an error: rejects, and what `apply` raises, are dropped as well.
        """
        while not self._finished:
            self._control.request_stop.remote()  # repeatedly, since it may have been restarted
            try:
                self._check_cluster()
                result = self._next_result(SECONDS_BETWEEN_CHECKS)
            except Exception:
                break
            if result and failed:
                with suppress(Exception):
                    self._run.apply(replace(result, rejects=(), error=None))
            elif result:
                self._run.apply(replace(result, error=None))
        with suppress(Exception):
            self._apply_retries(last=True)

    def close(self) -> None:
        """End the pipeline if it still runs, and free what the driver holds."""
        import ray

        with suppress(OSError):  # the disk is full
            self._end.touch()
        ray.kill(self._control)  # ends the read tasks, and workers that start later
        self._thread.join(SECONDS_TO_END)
        self._folder.cleanup()

    def _wait_until(self, is_ready: Callable[[], bool]) -> None:
        while not (is_ready() or self._finished):
            self._run.cancellation.check()
            self._check_cluster()
            self._apply_available(SECONDS_BETWEEN_CHECKS)
        self._apply_available()

    def _apply_available(self, timeout: float = 0) -> None:
        """Apply results and retries; wait for the first result for so many seconds."""
        self._apply_retries()
        while result := self._next_result(timeout):
            self._run.apply(result)
            timeout = 0

    def _next_result(self, timeout: float) -> BatchResult | None:
        """The next result; `None` if none comes within so many seconds, or there are no more.

        Raises:
            RDRQdrantError: the pipeline failed.
        """
        try:
            result = self._results.get(timeout=timeout)
        except Empty:
            return None
        if result is None or isinstance(result, Exception):
            self._finished = True
            if result:
                raise result
            return None
        if result.partition in self._spools:
            self._spools[result.partition].mark_done()
        return result

    def _check_cluster(self) -> None:
        """From time to time: note if machines are lacking.

        Raises:
            WorkerError: no machine can run a worker any more.
        """
        now = time.monotonic()
        if now - self._cluster_checked >= SECONDS_BETWEEN_CLUSTER_CHECKS:
            self._cluster_checked = now
            self._lacks_machines = count_possible_workers(self._resources) < self._options.workers

    def _apply_retries(self, *, last: bool = False) -> None:
        """Report what the workers retried meanwhile."""
        import ray
        from ray.exceptions import RayError

        now = time.monotonic()
        if self._retries is None:
            if not last and now - self._retries_polled < SECONDS_BETWEEN_RETRY_POLLS:
                return
            self._retries_polled = now
            self._retries = self._control.take_retries.remote()
        ready, _ = ray.wait([self._retries], timeout=SECONDS_FOR_LAST_RETRIES if last else 0)
        if not ready:
            return
        events, self._retries = self._retries, None
        with suppress(RayError):  # the actor is being restarted, and has lost them
            for event in ray.get(events):
                self._run.apply(event)

    def _collect_results(self, dataset: Any) -> None:
        """In a thread: results as they come, then `None` or the error of the pipeline."""
        try:
            for rows in dataset.iter_batches(
                batch_size=None, batch_format="numpy", prefetch_batches=0
            ):
                for result in decode_results(rows):
                    self._results.put(result)
        except Exception as error:
            self._results.put(to_rdr_error(error))
        else:
            self._results.put(None)

    def _dataset(self, folder: Path) -> Any:
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        partitions = self._run.reader.partitions
        files = [
            None if number in self._spools else partition.file
            for number, partition in enumerate(partitions)
        ]
        batches_at_a_time = 1 if self._options.target.points_per_minute else BATCHES_PER_WORKER
        context = DataContext.get_current().copy()
        context.enable_progress_bars = False  # the job reports its own progress
        context.print_on_execution_start = False
        context.execution_options.preserve_order = True
        context.execution_no_progress_timeout_s = -1  # a stream may pause, and so may the server
        stop_callback: Any = partial(StopCallback, self._end)
        context.custom_execution_callback_classes.append(stop_callback)
        context.target_max_block_size = 1  # one block for each row, that is for each batch
        with DataContext.current(context):
            batches = ray.data.read_datasource(
                record_datasource(files, folder, self._run.reader.batch_size, self._control),
                override_num_blocks=max(1, len(files)),
                concurrency=max(1, min(len(files), READ_TASKS)),
                num_cpus=0,
                label_selector=_this_node(),
            )
            deduplicated = batches.map_batches(
                Deduplicator,
                fn_constructor_args=(folder / "ids", [one.name for one in partitions]),
                batch_size=None,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(size=1, max_tasks_in_flight_per_actor=1),
                num_cpus=0,
                memory=DEDUPLICATOR_BYTES,
                label_selector=_this_node(),
            )
            return deduplicated.map_batches(
                Worker,
                fn_constructor_args=(self._options, self._control),
                batch_size=1,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(
                    size=self._options.workers,
                    max_concurrent_calls_per_actor=batches_at_a_time,
                    max_tasks_in_flight_per_actor=batches_at_a_time + 1,
                    enable_true_multi_threading=True,
                ),
                **self._resources,
            )


class StopCallback:
    """Ends a dataset once a file exists, whatever the dataset waits for.

    Ray Data calls it at each step of its loop, several times a second. There is no public method
    that ends a dataset from another thread.

    Args:
        end: the file. (Ray pickles what creates the callback, so it cannot hold an event.)
    """

    def __init__(self, end: Path) -> None:
        self._end = end

    def before_execution_starts(self, executor: Any) -> None:
        """Do nothing."""

    def on_execution_step(self, executor: Any) -> None:
        """Raise `WorkerError` if the file exists, which ends the dataset."""
        if self._end.exists():
            raise WorkerError("The job has ended.")

    def after_execution_succeeds(self, executor: Any) -> None:
        """Do nothing."""

    def after_execution_fails(self, executor: Any, error: Exception) -> None:
        """Do nothing."""


def _start_control_actor() -> Any:
    """A `ControlActor` on this machine, restarted whenever it dies."""
    import ray

    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
    return ray.remote(ControlActor).options(**options, label_selector=_this_node()).remote()


def _this_node() -> dict[str, str]:
    """Selects the driver's machine."""
    import ray

    return {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
