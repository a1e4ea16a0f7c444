"""Signals: the first Ctrl-C or SIGTERM finishes what is in flight, the second exits at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from rdr_qdrant.cli.exit_status import ExitStatus

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = "\x1b[?25h"


class Stoppable(Protocol):
    """Work that can be asked to stop."""

    def stop(self) -> bool:
        """Ask it to stop; true if it is only waiting, so that an exception may interrupt it."""


def raise_keyboard_interrupt_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does: with one line and status 130."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@contextmanager
def stop_on_signal(work: Stoppable) -> Iterator[None]:
    """Inside, the first SIGINT or SIGTERM asks the work to stop; the second exits at once."""
    stopping = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            _write_unbuffered("Stopped at once. Everything confirmed so far is kept.")
            os._exit(ExitStatus.INTERRUPTED)
        stopping = True
        if work.stop():
            raise KeyboardInterrupt
        _write_unbuffered("Finishing what is in flight. Press Ctrl-C again to stop at once.")

    with _handling_signals(on_signal):
        yield


@contextmanager
def exit_on_signal() -> Iterator[None]:
    """Inside, SIGINT or SIGTERM ends the process at once: nothing is written anywhere."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        _write_unbuffered("Interrupted.")
        os._exit(ExitStatus.INTERRUPTED)

    with _handling_signals(on_signal):
        yield


@contextmanager
def _handling_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def _write_unbuffered(message: str) -> None:
    """Bypass Python's buffers: the signal may have interrupted a `print`."""
    try:
        if sys.stderr.isatty():
            message = f"{_SHOW_CURSOR}\n{message}"
        os.write(2, f"{message}\n".encode())
    except (OSError, ValueError, AttributeError):
        pass
