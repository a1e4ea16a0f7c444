"""The counters of a job while it runs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping


class Counters:
    """Counts by name, used by the thread that runs the job.

    `read` is the sum of `uploaded`, `updated`, `unchanged`, `duplicates` and `rejected`. Further
    ones: `id_conflicts` (of the rejected, those with the id of an earlier record), `taken_over`,
    `truncated`, `verified`, `compared`, `retries`.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._started = time.monotonic()

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to the counters of these names."""
        self._counts.update(counts)

    def of(self, names: Iterable[str]) -> dict[str, int]:
        """The counters of these names."""
        return {name: self._counts[name] for name in names}

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    @property
    def seconds(self) -> float:
        """Seconds since the job began."""
        return time.monotonic() - self._started
