"""Ctrl-C and SIGTERM: first finish what is in flight, the second time leave at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

EXIT_INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = "\x1b[?25h"


class Stoppable(Protocol):
    """Work that can be asked to stop."""

    def stop(self) -> bool:
        """Ask it to; whether it is only waiting, so that an exception may break it off."""


def treat_termination_as_interrupt() -> None:
    """SIGTERM ends this process as Ctrl-C does: with one line and status 130."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@contextmanager
def finishing_first(work: Stoppable) -> Iterator[None]:
    """Inside, the first Ctrl-C or SIGTERM asks the work to stop; the second leaves at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            _write("Left at once. What was confirmed is kept.")
            os._exit(EXIT_INTERRUPTED)
        asked = True
        if work.stop():
            raise KeyboardInterrupt
        _write("Finishing what is in flight; once more to leave at once.")

    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write(message: str) -> None:
    """Past Python's buffers: the signal may have come in the midst of a `print`."""
    try:
        if sys.stderr.isatty():
            message = f"{_SHOW_CURSOR}\n{message}"
        os.write(2, f"{message}\n".encode())
    except (OSError, ValueError, AttributeError):
        pass
