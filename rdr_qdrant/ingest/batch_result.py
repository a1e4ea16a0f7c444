"""What became of items, added up: of a batch, or of a window that was loaded elsewhere."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rdr_qdrant.collection import PointId, Sampled
from rdr_qdrant.ingest.diff import Encoded, Item, Work, Written
from rdr_qdrant.ingest.verify import Sent, Verification
from rdr_qdrant.readers import Reject


class Account:
    """Every item that is told to it is in it once.

    Args:
        verification: what is there now is offered to its sample.

    Attributes:
        counts: by the names of `LoadReport`; what was set aside is not among them.
        rejects: items that were set aside.
        there: points that are in the collection now, as they should be.
        gone: points that were set aside.
        sample: what the verification kept.
    """

    def __init__(self, verification: Verification) -> None:
        self.counts: Counter[str] = Counter()
        self.rejects: list[Reject] = []
        self.there: list[PointId] = []
        self.gone: list[PointId] = []
        self.sample: list[Sampled[Sent]] = []
        self._verification = verification

    def note(self, work: Work) -> None:
        """What needs no doing."""
        self.counts["taken_over"] += len(work.taken_over)
        for item in work.unchanged:
            self._add(item, "unchanged")
        for item in work.foreign:
            self._set_aside(item, "its point id is taken by a point that other software wrote")

    def written(self, result: Written) -> None:
        """What was written, or is larger than Qdrant takes."""
        batch = result.batch
        for number, item in enumerate(batch.items):
            if item.id in result.refused:
                self._set_aside(item, "larger than Qdrant takes in one request")
            elif isinstance(batch, Encoded):
                self._add(item, "uploaded", batch.vectors[number])
                self.counts["truncated"] += int(batch.truncated[number])
            else:
                self._add(item, "updated")

    def _add(self, item: Item, what: str, vector: Any | None = None) -> None:
        self.counts["read"] += 1
        self.counts[what] += 1
        self.there.append(item.id)
        kept = self._verification.sent(item, vector)
        if kept is not None:
            self.sample.append(kept)

    def _set_aside(self, item: Item, reason: str) -> None:
        self.gone.append(item.id)
        self.rejects.append(item.row.set_aside(reason))
