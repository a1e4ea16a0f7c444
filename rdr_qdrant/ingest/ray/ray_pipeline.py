"""One load as a Ray Data pipeline; stands where the loader has its own `Pipeline`.

    read tasks, side by side -> gate, one actor -> workers, an actor for each GPU or core -> driver

Batches keep their order up to the gate and after it, so that what is counted and set aside is told
as on one machine. All are streamed: no operator holds more than a few batches for each worker.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

from rdr_qdrant.ingest.diff import Retry
from rdr_qdrant.ingest.partitions import Part
from rdr_qdrant.ingest.ray.codec import unboxed
from rdr_qdrant.ingest.ray.control_actor import Board
from rdr_qdrant.ingest.ray.datasource import Spool, datasource
from rdr_qdrant.ingest.ray.deduplicator import Gate
from rdr_qdrant.ingest.ray.errors import WorkerError, in_words
from rdr_qdrant.ingest.ray.worker import Target, Worker
from rdr_qdrant.ingest.records import Row
from rdr_qdrant.ingest.remote_batch import Done

FILES_AT_A_TIME = 16
"""Read tasks side by side."""
BATCHES_AT_A_TIME = 3
"""Batches that a worker has in hand: one is encoded, others are looked up or written."""
BATCHES_AHEAD = 8
"""Batches for each worker that the driver reads ahead, of parts that it reads itself."""
GATE_BYTES = 200 * 2**20
"""What the gate takes. Reading says nothing of that: where both need the same, Ray Data makes one
operator of them, and all is read in one process."""
SECONDS_BETWEEN_CHECKS = 0.1
SECONDS_BETWEEN_NEWS = 1.0
SECONDS_BETWEEN_ROLL_CALLS = 10.0
SECONDS_TO_END = 10.0


class Flow:
    """A load on its way through Ray.

    Args:
        parts: of the load.
        batch_size: rows in a batch.
        pair: fields of the `RDREmbeddings`.
        target: where to.
        needs: what a worker needs (`num_cpus`, `num_gpus`).
        check: called now and then while the caller waits; what it raises ends the wait.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        batch_size: int,
        pair: Mapping[str, Any],
        target: Target,
        needs: Mapping[str, float],
        check: Callable[[], None],
    ) -> None:
        self._check = check
        self._folder = tempfile.TemporaryDirectory(prefix="rdr-qdrant-load-")
        folder = Path(self._folder.name)
        self._spools = {
            number: Spool(number, folder)
            for number, part in enumerate(parts)
            if part.reading is None
        }
        self._results: SimpleQueue[Done | Exception | None] = SimpleQueue()
        self._room = BATCHES_AHEAD * target.workers
        self._over = self._abandoned = False
        self._news: Any = None
        self._asked_for_news = time.monotonic()
        self._needs = needs
        self._asked_for_machines = time.monotonic()
        self._board = self._pinned(Board)
        self._dataset = self._pipeline(parts, folder, batch_size, pair, target)
        self._thread = threading.Thread(target=self._run, name="ray-data", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        import ray

        if not self._over:  # it cannot end, or nobody wants to wait for it
            self._abandoned = True
            if executor := getattr(self._dataset, "_current_executor", None):
                executor.shutdown(force=True)  # there is no public way
            self._thread.join(SECONDS_TO_END)
        ray.kill(self._board)
        self._folder.cleanup()

    def feed(self, part: int, rows: Sequence[Row]) -> Iterator[Done | Retry]:
        """See `Working.feed`."""
        spool = self._spools[part]
        while spool.ahead >= self._room and not self._over:
            self._check()
            self._check_machines()
            yield from self._there(wait=SECONDS_BETWEEN_CHECKS)
        spool.write(rows)
        yield from self._there()

    def end(self, part: int) -> None:
        """See `Working.end`."""
        self._spools[part].end()

    def rest(self) -> Iterator[Done | Retry]:
        """See `Working.rest`."""
        while not self._over:
            self._check()
            self._check_machines()
            yield from self._there(wait=SECONDS_BETWEEN_CHECKS)
        yield from self._told(last=True)

    def stop(self) -> Iterator[Done | Retry]:
        """See `Working.stop`; errors are dropped, for something else has ended the load."""
        while not self._over:
            self._board.stop.remote()  # again and again, for it may have died meanwhile
            try:
                self._check_machines()
                for result in self._there(wait=SECONDS_BETWEEN_CHECKS):
                    yield _without_error(result)
            except Exception:
                break
        yield from self._told(last=True)

    def _check_machines(self) -> None:
        """Ray waits for ever for what is not there; a load does not.

        Raises:
            WorkerError: no machine can run a worker any more.
        """
        import ray

        now = time.monotonic()
        if now - self._asked_for_machines < SECONDS_BETWEEN_ROLL_CALLS:
            return
        self._asked_for_machines = now
        there: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        for resource, needed in self._needs.items():
            what = {"num_gpus": "GPU", "num_cpus": "CPU"}[resource]
            if there.get(what, 0) < needed:
                raise WorkerError(
                    f"No machine with a {what} for a worker is left in the Ray cluster. What was "
                    "written is kept; bring one back, and the same command goes on."
                )

    def _there(self, wait: float = 0.0) -> Iterator[Done | Retry]:
        """Results that are there, or come soon.

        Raises:
            RDRQdrantError: the pipeline broke.
        """
        yield from self._told()
        while True:
            try:
                result = self._results.get(timeout=wait) if wait else self._results.get_nowait()
            except Empty:
                return
            wait = 0.0
            if result is None:
                self._over = True
                return
            if isinstance(result, Exception):
                self._over = True
                raise result
            if spool := self._spools.get(result.batch.part):
                spool.one_done()
            yield result

    def _told(self, *, last: bool = False) -> Iterator[Retry]:
        """What workers told meanwhile."""
        import ray
        from ray.exceptions import RayError

        now = time.monotonic()
        if self._news is None and (last or now - self._asked_for_news >= SECONDS_BETWEEN_NEWS):
            self._asked_for_news = now
            self._news = self._board.news.remote()
        if self._news is None:
            return
        done, _ = ray.wait([self._news], timeout=10.0 if last else 0.0)
        if done:
            try:
                yield from ray.get(self._news)
            except RayError:
                pass
            finally:
                self._news = None

    def _run(self) -> None:
        """In a thread of its own: results as they come, then `None`, or why there are no more."""
        try:
            for batch in self._dataset.iter_batches(
                batch_size=None, batch_format="numpy", prefetch_batches=0
            ):
                for done in unboxed(batch):
                    self._results.put(done)
                if self._abandoned:
                    return
        except Exception as error:
            self._results.put(in_words(error))
        else:
            self._results.put(None)

    def _pipeline(
        self,
        parts: Sequence[Part],
        folder: Path,
        batch_size: int,
        pair: Mapping[str, Any],
        target: Target,
    ) -> Any:
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current().copy()
        context.enable_progress_bars = False  # ours is shown
        context.print_on_execution_start = False
        context.execution_options.preserve_order = True
        context.target_max_block_size = 1  # a block for each row: a batch each
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        readings = [part.reading for part in parts]
        with DataContext.current(context):
            rows = ray.data.read_datasource(
                datasource(readings, folder, batch_size, self._board),
                override_num_blocks=len(parts),
                concurrency=min(len(parts), FILES_AT_A_TIME),
                num_cpus=0,
                label_selector=here,
            )
            firsts = rows.map_batches(
                Gate,
                fn_constructor_args=(folder / "seen", [part.name for part in parts]),
                batch_size=None,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(size=1, max_tasks_in_flight_per_actor=1),
                num_cpus=0,
                memory=GATE_BYTES,
                label_selector=here,
            )
            return firsts.map_batches(
                Worker,
                fn_constructor_args=(dict(pair), target, self._board),
                batch_size=1,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(
                    size=target.workers,
                    max_concurrent_calls_per_actor=BATCHES_AT_A_TIME,
                    max_tasks_in_flight_per_actor=BATCHES_AT_A_TIME + 1,
                    enable_true_multi_threading=True,
                ),
                **self._needs,
            )

    def _pinned(self, kind: type) -> Any:
        """An actor on this machine, which needs nothing and is started again where it dies."""
        import ray

        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
        return ray.remote(kind).options(**options, label_selector=here).remote()


def _without_error(result: Done | Retry) -> Done | Retry:
    return replace(result, error=None) if isinstance(result, Done) else result
