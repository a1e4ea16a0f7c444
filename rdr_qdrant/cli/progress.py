"""How far a long job is, on stderr: a bar on a terminal, else a plain line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rdr_qdrant.cli.messages import say

SECONDS_BETWEEN_LINES = 10.0

Update = Callable[[int], None]


@contextmanager
def showing_progress(noun: str, fraction: Callable[[], float | None]) -> Iterator[Update]:
    """Call what this yields with the number of things done so far.

    Args:
        noun: what is counted, in the plural.
        fraction: how much of all is done, 0 to 1, or `None` where nobody knows.
    """
    if sys.stderr.isatty():
        with _bar(noun, fraction) as update:
            yield update
    else:
        yield _lines(noun, fraction)


@contextmanager
def _bar(noun: str, fraction: Callable[[], float | None]) -> Iterator[Update]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    started = time.monotonic()
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"no {noun} yet", total=None)

        def update(done: int) -> None:
            part = fraction()
            progress.update(
                task,
                description=_status(noun, done, part, time.monotonic() - started),
                total=1.0 if part is not None else None,
                completed=part or 0.0,
            )

        yield update


def _lines(noun: str, fraction: Callable[[], float | None]) -> Update:
    started = time.monotonic()
    last = started

    def update(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            say(_status(noun, done, fraction(), now - started))

    return update


def _status(noun: str, done: int, part: float | None, seconds: float) -> str:
    words = [f"{done:,} {noun}", f"{done / max(seconds, 1e-6):,.1f} {noun}/s"]
    if part:
        words.append(f"{duration(seconds * (1 - part) / part)} left")
    return ", ".join(words)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
