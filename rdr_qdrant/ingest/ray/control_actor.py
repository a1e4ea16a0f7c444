"""`ControlActor`: tells the processes of a job to stop, and collects their retries."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from rdr_qdrant.ingest.batch_result import RetryEvent

SECONDS_BETWEEN_POLLS = 0.5


class ControlActor:
    """A Ray actor. If it dies Ray restarts it empty; the driver repeats its request to stop."""

    def __init__(self) -> None:
        self._stop_requested = False
        self._retries: list[RetryEvent] = []
        self._worker_starts = 0

    def request_stop(self) -> None:
        """Let no further batch begin, and no call be retried."""
        self._stop_requested = True

    def is_stop_requested(self) -> bool:
        """True once the driver asked to stop."""
        return self._stop_requested

    def add_retry(self, event: RetryEvent) -> None:
        """Record a retry for the driver."""
        self._retries.append(event)

    def take_retries(self) -> list[RetryEvent]:
        """Retries recorded since the last call."""
        retries, self._retries = self._retries, []
        return retries

    def count_worker_start(self) -> int:
        """Number of workers started so far, including this one."""
        self._worker_starts += 1
        return self._worker_starts


class ControlClient:
    """Polls a `ControlActor` in a thread, so that no batch has to wait for a call to it.

    Args:
        control: handle of the actor.

    Attributes:
        stopped: set soon after the driver asked to stop, or once the actor is gone for good.
    """

    def __init__(self, control: Any) -> None:
        self.stopped = threading.Event()
        self._control = control
        self._closed = threading.Event()
        self._poll()
        threading.Thread(target=self._keep_polling, name="control", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed.set()

    def post_retry(self, reason: str, seconds: float) -> None:
        """Report a retry to the driver; it is recorded when this returns."""
        import ray
        from ray.exceptions import RayError

        with suppress(RayError):  # a lost message is no reason to fail
            ray.get(self._control.add_retry.remote(RetryEvent(reason, seconds)))

    def _keep_polling(self) -> None:
        while not self.stopped.is_set() and not self._closed.wait(SECONDS_BETWEEN_POLLS):
            self._poll()

    def _poll(self) -> None:
        import ray
        from ray.exceptions import ActorDiedError, RayError

        try:
            if ray.get(self._control.is_stop_requested.remote()):
                self.stopped.set()
        except ActorDiedError:  # the driver killed it: the job is over
            self.stopped.set()
        except RayError:  # it is being restarted
            pass
