"""Where the processes of a load find what the driver wants, and leave what it is to hear."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from rdr_qdrant.ingest.diff import Retry

SECONDS_BETWEEN_LOOKS = 0.5


class Board:
    """A Ray actor. If it dies it is started again, empty: the driver repeats what it wants."""

    def __init__(self) -> None:
        self._stopped = False
        self._retries: list[Retry] = []
        self._starts = 0

    def stop(self) -> None:
        """No further batch is to be begun, and no call made again."""
        self._stopped = True

    def is_stopped(self) -> bool:
        """Whether that was asked."""
        return self._stopped

    def tell(self, retry: Retry) -> None:
        """A call to Qdrant is about to be made again."""
        self._retries.append(retry)

    def news(self) -> list[Retry]:
        """What was told since this was asked last."""
        news, self._retries = self._retries, []
        return news

    def count_start(self) -> int:
        """How many workers were started, this one included."""
        self._starts += 1
        return self._starts


class Watch:
    """In a process of the load: whether it was stopped, without a call for each batch.

    Args:
        board: a `Board`.

    Attributes:
        stopped: set soon after the driver asked for it, and when the load is over.
    """

    def __init__(self, board: Any) -> None:
        self.stopped = threading.Event()
        self._board = board
        self._closed = threading.Event()
        self._look()
        threading.Thread(target=self._keep_looking, name="watch", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed.set()

    def tell(self, why: str, seconds: float) -> None:
        """See `Board.tell`; it is there when this returns."""
        import ray
        from ray.exceptions import RayError

        with suppress(RayError):  # news are not worth a load
            ray.get(self._board.tell.remote(Retry(why, seconds)))

    def _keep_looking(self) -> None:
        while not self.stopped.is_set() and not self._closed.wait(SECONDS_BETWEEN_LOOKS):
            self._look()

    def _look(self) -> None:
        import ray
        from ray.exceptions import ActorDiedError, RayError

        try:
            if ray.get(self._board.is_stopped.remote()):
                self.stopped.set()
        except ActorDiedError:  # nobody is there any more who wants anything
            self.stopped.set()
        except RayError:  # it is being started again
            pass
