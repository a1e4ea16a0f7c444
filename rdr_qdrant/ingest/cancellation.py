"""Ending a load before its end: what is in flight is finished, then it stops."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(Exception):  # noqa: N818 (no error)
    """The load was asked to stop; nothing is in flight."""


class Stopping:
    """Whether a load was asked to stop, and whether it may be torn out of what it does.

    Attributes:
        asked: set once it was asked to.
        waiting: whether it is at something that may take for ever and can be broken off anywhere:
            reading its input, or loading the encoders.
    """

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.waiting = False

    def check(self) -> None:
        """Stop here, where that was asked.

        Raises:
            Stopped: it was.
        """
        if self.asked.is_set():
            raise Stopped

    @contextmanager
    def breakable(self) -> Iterator[None]:
        """Whoever asked to stop may break this off by a `KeyboardInterrupt`.

        Raises:
            Stopped: it was asked to stop before, or was broken off.
        """
        self.check()
        self.waiting = True
        try:
            yield
        except KeyboardInterrupt:
            self.check()
            raise
        finally:
            self.waiting = False
