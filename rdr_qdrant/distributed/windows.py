"""Windows on their way through the workers; stands where the loader has its `Pipeline`."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from rdr_qdrant.distributed.worker import Target, WorkerError
from rdr_qdrant.loader.stages import Changed, Encoded, Retry, Window, Written

WINDOWS_A_WORKER = 2
"""One that is encoded, and one that is written or waits."""
SECONDS_BETWEEN_CHECKS = 0.1


class Windows:
    """Gives windows to whichever worker has the fewest, and counts what comes back.

    Args:
        workers: Ray actors.
        load: how they know this load.
        target: what they are told of the load; asked at the first window.
        write: writes from here what needs no encoding.
        check: called now and then while the caller waits; what it raises ends the wait.
    """

    def __init__(
        self,
        workers: Sequence[Any],
        load: str,
        target: Callable[[], Target],
        write: Callable[[Changed], Written],
        check: Callable[[], None],
    ) -> None:
        self._workers = workers
        self._name = load
        self._make_target = target
        self._target: Any = None
        self._write = write
        self._check = check
        self._under_way: dict[Any, tuple[Window, int]] = {}
        self._load: Counter[int] = Counter()
        self._told: deque[Written | Retry] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._under_way.clear()

    def feed(self, window: Window) -> Iterator[Written | Retry]:
        """See `Pipeline.feed`."""
        room = WINDOWS_A_WORKER * len(self._workers)
        yield from self._until(lambda: len(self._under_way) < room)
        if self._target is None:
            self._target = self._make_target()
        number = min(range(len(self._workers)), key=lambda one: self._load[one])
        call = self._workers[number].load.remote(list(window.items), self._target)
        self._under_way[call] = (window, number)
        self._load[number] += 1

    def feed_encoded(self, batch: Changed) -> Iterator[Written | Retry]:
        """Metadata alone is written from here."""
        written = self._write(batch)
        yield from self._news()
        yield written

    def tell(self, news: Written | Retry) -> None:
        """See `Pipeline.tell`."""
        self._told.append(news)

    def rest(self) -> Iterator[Written | Retry]:
        """See `Pipeline.rest`."""
        yield from self._until(lambda: not self._under_way)

    def stop(self) -> Iterator[Written | Retry]:
        """See `Pipeline.stop`."""
        for worker in self._workers:
            worker.give_up.remote(self._name)
        while self._under_way:
            for call in self._done(timeout=None):
                try:
                    result = self._take(call)
                except Exception:
                    continue
                yield from self._news()
                yield result
        yield from self._news()

    def _until(self, ready: Callable[[], bool]) -> Iterator[Written | Retry]:
        while True:
            for call in self._done(timeout=0):
                yield self._take(call)
            yield from self._news()
            if ready():
                return
            self._check()
            self._done(timeout=SECONDS_BETWEEN_CHECKS)

    def _done(self, timeout: float | None) -> list[Any]:
        """Calls that have ended, or after a while none."""
        import ray

        if not self._under_way:
            return []
        done, _ = ray.wait(list(self._under_way), timeout=timeout)
        return list(done)

    def _take(self, call: Any) -> Written:
        window, number = self._under_way.pop(call)
        self._load[number] -= 1
        loaded = answer_of(call)
        self._told.extend(loaded.retries)
        return Written(Encoded(window.items, loaded.vectors, loaded.truncated), loaded.refused)

    def _news(self) -> Iterator[Written | Retry]:
        while self._told:
            yield self._told.popleft()


def answer_of(call: Any) -> Any:
    """What a worker answers.

    Raises:
        RDRQdrantError: what it raised.
        WorkerError: it could not be started, or died and could not be started again.
    """
    import ray
    from ray.exceptions import RayActorError, RayError, RayTaskError

    try:
        return ray.get(call)
    except RayTaskError as error:
        raise error.cause from None
    except RayActorError as error:
        if getattr(error, "actor_init_failed", False):
            raise WorkerError(
                f"A worker cannot be started ({_lines(error)[-1]}). Is the same rdr-qdrant "
                "installed on every machine of the cluster?"
            ) from None
        raise WorkerError(
            f"A worker died and could not be started again ({_lines(error)[0]}). Is there memory "
            "enough for so many? What was written is kept; the same command goes on."
        ) from None
    except RayError as error:
        raise WorkerError(
            f"The Ray cluster failed ({_lines(error)[0]}). What was written is kept; the same "
            "command goes on."
        ) from None


def _lines(error: Exception) -> list[str]:
    return str(error).strip().splitlines() or [type(error).__name__]
