"""Stopping a job before its end: work in flight is finished first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class JobCancelled(Exception):  # noqa: N818 (not an error)
    """The job was asked to stop; nothing is in flight."""


class Cancellation:
    """A request to stop, shared by a job and whoever may stop it.

    Attributes:
        requested: set once the job was asked to stop.
        interruptible: true while the job reads its input or loads an encoder, which may take
            for ever and can be broken off anywhere.
    """

    def __init__(self) -> None:
        self.requested = threading.Event()
        self.interruptible = False

    def request(self) -> bool:
        """Ask the job to stop.

        Returns:
            True if a signal handler may interrupt it by raising `KeyboardInterrupt`.
        """
        self.requested.set()
        return self.interruptible

    def check(self) -> None:
        """Raise `JobCancelled` if the job was asked to stop."""
        if self.requested.is_set():
            raise JobCancelled

    @contextmanager
    def allow_interrupt(self) -> Iterator[None]:
        """Let a requested stop break off the enclosed work by a `KeyboardInterrupt`.

        Raises:
            JobCancelled: the job was asked to stop before or meanwhile.
        """
        self.check()
        self.interruptible = True
        try:
            yield
        except KeyboardInterrupt:
            self.check()
            raise
        finally:
            self.interruptible = False
