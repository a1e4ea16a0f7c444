"""Progress of a long job, on stderr: a bar on a terminal, otherwise a line every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rdr_qdrant.cli.stderr import pluralize, print_message, replace_control_characters

if TYPE_CHECKING:
    from rich.progress import Progress

SECONDS_BETWEEN_LINES = 10.0


class ProgressReporter:
    """Receives counts, and shows them.

    Args:
        noun: the things that are counted, in the plural.
        fraction: the part of the whole job that is done, 0 to 1, or `None` if unknown.
        bar: rich's display on a terminal; without it lines are printed.

    Attributes:
        done: the last count.
    """

    def __init__(
        self, noun: str, fraction: Callable[[], float | None], bar: Progress | None = None
    ) -> None:
        self.done = 0
        self._noun = noun
        self._fraction = fraction
        self._bar = bar
        self._task = bar.add_task("starting", total=None) if bar else None
        self._started = self._last_line = self._skipping_until = time.monotonic()
        self._waiting_since: float | None = None

    def __call__(
        self, done: int, total: int | None = None, *, waiting: int = 0, skipped: int = 0
    ) -> None:
        """Show how many are done.

        Args:
            done: all that are done.
            total: all that there are, if `fraction` does not tell.
            waiting: read, but not done yet.
            skipped: among those done, found up to date; they do not count into the rate.
        """
        self.done = done
        now = time.monotonic()
        fraction = done / total if total else self._fraction()
        if fraction and done:
            fraction *= done / (done + waiting)
        if done == skipped:
            self._skipping_until = now
            rate = done / max(now - self._started, 1e-6)
        else:
            rate = (done - skipped) / max(now - self._skipping_until, 1e-6)
        status = f"{pluralize(done, self._noun)}, {rate:,.1f} {self._noun}/s"
        if fraction and rate:
            status += f", {duration(done / fraction * (1 - fraction) / rate)} left"
        if self._bar and self._task is not None and fraction is not None:
            self._bar.update(self._task, total=1.0, completed=fraction)
        self.show(status)

    def show(self, status: str) -> None:
        """Show a status that is not a count."""
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=replace_control_characters(status))
            return
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            print_message(status)

    def show_retry(self, why: str, seconds: float) -> None:
        """Show that Qdrant is called again, after this many seconds."""
        self.show(f"{self.done:,} {self._noun}; Qdrant: {why}, retrying in {seconds:.1f} s")

    def show_waiting(self, status: str) -> None:
        """Show what the job waits for, with the time since the first call."""
        now = time.monotonic()
        self._waiting_since = now if self._waiting_since is None else self._waiting_since
        self.show(f"{status}, {duration(now - self._waiting_since)}")


@contextmanager
def progress_shown(
    noun: str, fraction: Callable[[], float | None] = lambda: None
) -> Iterator[ProgressReporter]:
    """Show progress while the body runs; see `ProgressReporter`."""
    if not sys.stderr.isatty():
        yield ProgressReporter(noun, fraction)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

    with Progress(
        SpinnerColumn(),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        yield ProgressReporter(noun, fraction, bar)


def duration(seconds: float) -> str:
    """Seconds in readable units: `45 s`, `1 min 50 s`, `2 h 37 min`, `3.1 days`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole / 86400:,.1f} days"
