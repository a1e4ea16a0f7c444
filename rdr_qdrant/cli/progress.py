"""How far a long job is, on stderr: a bar on a terminal, else a plain line now and then."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rdr_qdrant.cli.stderr import counted, printable, say

if TYPE_CHECKING:
    import rich.progress

SECONDS_BETWEEN_LINES = 10.0

Fraction = Callable[[], float | None]


class Progress(ABC):
    """Told how many things are done, or what else is going on."""

    def __init__(self, noun: str, fraction: Fraction) -> None:
        self._noun = noun
        self._fraction = fraction
        self._started = self._idle_until = time.monotonic()
        self._part: float | None = None
        self._waiting_since: float | None = None

    def __call__(self, done: int, *, waiting: int = 0, skipped: int = 0) -> None:
        """So many are done by now.

        Args:
            done: all that are done.
            waiting: those that were read and are not done yet.
            skipped: those among the done that were there already: the rate, and the time that is
                left, are of the others.
        """
        now = time.monotonic()
        part = self._fraction()
        self._part = part * done / (done + waiting) if part and done else part
        if done == skipped:
            self._idle_until = now
            rate = done / max(now - self._started, 1e-6)
        else:
            rate = (done - skipped) / max(now - self._idle_until, 1e-6)
        self.show(_status(self._noun, done, self._part, rate))

    def doing(self, what: str) -> None:
        """Something that is not counted is going on."""
        self.show(what)

    def waiting(self, what: str) -> None:
        """Something else does what remains: shown with the time since the first call."""
        now = time.monotonic()
        self._waiting_since = now if self._waiting_since is None else self._waiting_since
        self.doing(f"{what}, {duration(now - self._waiting_since)}")

    @abstractmethod
    def show(self, status: str) -> None:
        """Let people see it."""


class _Lines(Progress):
    def __init__(self, noun: str, fraction: Fraction) -> None:
        super().__init__(noun, fraction)
        self._last = self._started

    def show(self, status: str) -> None:
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            say(status)


class _Bar(Progress):
    def __init__(self, noun: str, fraction: Fraction, bar: rich.progress.Progress) -> None:
        super().__init__(noun, fraction)
        self._bar = bar
        self._task = bar.add_task("starting", total=None)

    def show(self, status: str) -> None:
        self._bar.update(
            self._task,
            description=printable(status),
            total=None if self._part is None else 1.0,
            completed=self._part or 0.0,
        )


@contextmanager
def showing_progress(noun: str, fraction: Fraction) -> Iterator[Progress]:
    """Show how far a job is for as long as it takes.

    Args:
        noun: what is counted, in the plural.
        fraction: how much of all is done, 0 to 1, or `None` where nobody knows.
    """
    if not sys.stderr.isatty():
        yield _Lines(noun, fraction)
        return
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as RichProgress

    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}", markup=False))
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(noun, fraction, bar)


def _status(noun: str, done: int, part: float | None, rate: float) -> str:
    words = [counted(done, noun), f"{rate:,.1f} {noun}/s"]
    if part and rate:
        words.append(f"{duration(done / part * (1 - part) / rate)} left")
    return ", ".join(words)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole / 86400:,.1f} days"
