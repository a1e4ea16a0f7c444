"""What a load did."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from rdr_qdrant.readers import DocumentCounts


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did; `read = uploaded + updated + unchanged + rejected`.

    Of a dry run, the same numbers say what would be done.

    Attributes:
        collection_name: where to; of a re-index behind an alias, the new collection.
        read: passages and rows that were looked at.
        uploaded: encoded and written, new or changed.
        updated: only their metadata was written; text and title were the same.
        unchanged: already there as they are.
        rejected: set aside.
        taken_over: of the uploaded and updated, points that another source had before.
        truncated: of the uploaded, those of which only the first `max_length` tokens were encoded.
        removed: points that their sources no longer have; `None` where nothing was pruned.
        verified: points of this load that were found in the collection at its end, by their ids.
        compared: of them, points of a random sample that were read back and equal what was sent.
        retries: calls to Qdrant that were made again.
        in_hand: while it runs, what was read and is not in the other numbers yet.
        points: points in the collection afterwards; `None` where Qdrant did not say.
        seconds: from start to end.
        interrupted: it was stopped before its end; what was done is kept.
        dry_run: nothing was written.
        documents: what became of documents; `None` where no source holds documents.
        alias: the alias that stands for the collection now, where it was put there.
        replaced: the collection that the alias stood for before.
        dropped: that one was deleted.
        index_seconds: of those, how long the index was built or a server's waited for; `None` where
            neither was done, or it was broken off.
    """

    collection_name: str
    read: int = 0
    uploaded: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    taken_over: int = 0
    truncated: int = 0
    removed: int | None = None
    verified: int = 0
    compared: int = 0
    retries: int = 0
    in_hand: int = 0
    points: int | None = 0
    seconds: float = 0.0
    interrupted: bool = False
    dry_run: bool = False
    documents: DocumentCounts | None = None
    alias: str | None = None
    replaced: str | None = None
    dropped: bool = False
    index_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as a dict, seconds rounded to milliseconds."""
        index = self.index_seconds
        return asdict(self) | {
            "seconds": round(self.seconds, 3),
            "index_seconds": None if index is None else round(index, 3),
        }


ProgressHandler = Callable[[LoadReport], None]


class Tally:
    """The counts of a load while it runs."""

    def __init__(self, collection_name: str, *, dry_run: bool) -> None:
        self.collection_name = collection_name
        self._dry_run = dry_run
        self._started = time.monotonic()
        self._counts: Counter[str] = Counter()

    def add(self, **counts: int) -> None:
        """Add to counts, by the names of the report."""
        self._counts.update(counts)

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def report(self, **others: Any) -> LoadReport:
        """The report as it stands."""
        return LoadReport(
            self.collection_name,
            **self._counts | others,
            seconds=time.monotonic() - self._started,
            dry_run=self._dry_run,
        )
