"""Encoding and writing beside reading, so that none waits for another while there is work.

    the caller reads and asks Qdrant -> one thread encodes -> some threads write -> the caller

Between them stands so little that memory does not depend on the corpus. Everything that is told
(counts, progress, rejects) is told in the caller's own thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Generic, NoReturn, Self, TypeVar

Window = TypeVar("Window")
Batch = TypeVar("Batch")
Result = TypeVar("Result")

WINDOWS_WAITING = 2
"""Windows that wait for the encoder or are being encoded."""
BATCHES_PER_WRITER = 2
"""Batches that wait for a writer or are being written, for each."""
SECONDS_BETWEEN_CHECKS = 0.1


class Pipeline(Generic[Window, Batch, Result]):
    """Windows in; what was done with them out, in any order.

    Every iterator that its methods return has to be run to its end.

    Args:
        encode: a window to batches, each given out as soon as it is ready.
        write: a batch to what was done.
        writers: threads that write; with 0 the caller's own does, while it waits for something.
        check: called now and then while the caller waits; what it raises ends the wait.
    """

    def __init__(
        self,
        encode: Callable[[Window], Iterator[Batch]],
        write: Callable[[Batch], Result],
        *,
        writers: int,
        check: Callable[[], None],
    ) -> None:
        self._encode = encode
        self._write = write
        self._check = check
        self._encoder = ThreadPoolExecutor(1, "encode")
        self._writers = ThreadPoolExecutor(writers, "write") if writers else None
        self._room_for_windows = threading.Semaphore(WINDOWS_WAITING)
        self._room_for_batches = threading.Semaphore(BATCHES_PER_WRITER * max(1, writers))
        self._results: SimpleQueue[Callable[[], Result]] = SimpleQueue()
        self._stopped = threading.Event()
        self._under_way = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def feed(self, window: Window) -> Iterator[Result]:
        """Put a window in as soon as there is room; meanwhile, results.

        Raises:
            Exception: what encoding, writing or `check` raised.
        """
        yield from self._until(lambda: self._room_for_windows.acquire(blocking=False))
        self._begin(self._encoder, lambda: self._encode_window(window))

    def feed_encoded(self, batch: Batch) -> Iterator[Result]:
        """`feed` for a batch that goes straight to the writers."""
        yield from self._until(lambda: self._room_for_batches.acquire(blocking=False))
        self._hand_over(batch)

    def tell(self, news: Result) -> None:
        """Put something between the results; from any thread."""
        self._results.put(lambda: news)

    def rest(self) -> Iterator[Result]:
        """Wait until everything is done.

        Raises:
            Exception: as `feed`.
        """
        yield from self._until(lambda: self._under_way == 0)

    def stop(self) -> Iterator[Result]:
        """End once the batches that are being encoded or written are; what was done of them.

        Errors are dropped: something else has ended the work.
        """
        self._end()
        while not self._results.empty():
            try:
                result = self._results.get()()
            except Exception:
                continue
            yield result

    def _end(self) -> None:
        self._stopped.set()
        self._encoder.shutdown()
        if self._writers:
            self._writers.shutdown()

    def _until(self, ready: Callable[[], bool]) -> Iterator[Result]:
        """Give out results, in the order in which they come, until it is time."""
        while True:
            done = ready()
            while not self._results.empty():
                yield self._results.get()()
            if done:
                return
            self._check()
            try:
                result = self._results.get(timeout=SECONDS_BETWEEN_CHECKS)
            except Empty:
                continue
            yield result()

    def _begin(self, pool: Executor, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                self._stopped.set()  # no further window is begun
                self._results.put(partial(_raise, error))
            finally:
                self._count(-1)

        self._count(1)
        pool.submit(run)

    def _count(self, more: int) -> None:
        with self._lock:
            self._under_way += more

    def _encode_window(self, window: Window) -> None:
        try:
            if self._stopped.is_set():
                return
            for batch in self._encode(window):
                while not self._room_for_batches.acquire(timeout=SECONDS_BETWEEN_CHECKS):
                    if self._stopped.is_set():
                        break  # nobody makes room any more, but what is encoded is not dropped
                self._hand_over(batch)
                if self._stopped.is_set():
                    return
        finally:
            self._room_for_windows.release()

    def _hand_over(self, batch: Batch) -> None:
        """To the writers; there is room for it."""
        if self._writers:
            self._begin(self._writers, lambda: self.tell(self._write_batch(batch)))
        else:
            self._results.put(lambda: self._write_batch(batch))

    def _write_batch(self, batch: Batch) -> Result:
        try:
            return self._write(batch)
        finally:
            self._room_for_batches.release()


def _raise(error: BaseException) -> NoReturn:
    raise error
