"""`LoadReport`: the result of a load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from rdr_qdrant.readers import DocumentCounts


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Result of a load; `read = uploaded + updated + unchanged + rejected`.

    After a dry run the same numbers say what a load would do.

    Attributes:
        collection_name: the collection; behind an alias, the new one.
        read: passages and rows read.
        uploaded: embedded and written, new or changed.
        updated: only their metadata were written; text and title were the same.
        unchanged: skipped, since they are stored as they are.
        rejected: rows and passages that cannot be used.
        taken_over: of the uploaded and updated, points that another source had before.
        truncated: of the uploaded, those of which only the first `max_length` tokens were encoded.
        stale_vectors: of the uploaded, points that keep named vectors of other programs, which were
            made before the text changed.
        removed: points that their sources no longer have; `None` if nothing was pruned.
        leftover_parts: points deleted that held parts of texts which have fewer parts now.
        verified: points of this load found in the collection at its end, by their ids.
        compared: of them, points of a random sample that were read back and equal what was sent.
        retries: how often calls to Qdrant were retried.
        in_hand: while the load runs, rows that were read and are in no other number yet.
        points: points in the collection afterwards; `None` if Qdrant did not say.
        points_approximate: `points` is an estimate, since strict mode takes no exact count.
        seconds: from start to end.
        interrupted: the load was stopped before its end; finished batches are kept.
        dry_run: nothing was written.
        changed_sources: for each source that changed while it was read, how; what was read of it
            may be neither its old nor its new content, and nothing was pruned.
        documents: documents converted, skipped and rejected; `None` if no source holds documents.
        alias: the alias that was put on the collection.
        replaced: the collection that the alias stood for before.
        dropped: that collection was deleted.
        index_seconds: of `seconds`, the time for building the index or waiting for a server's;
            `None` if neither was done, or it was broken off.
    """

    collection_name: str
    read: int = 0
    uploaded: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    taken_over: int = 0
    truncated: int = 0
    stale_vectors: int = 0
    removed: int | None = None
    leftover_parts: int = 0
    verified: int = 0
    compared: int = 0
    retries: int = 0
    in_hand: int = 0
    points: int | None = 0
    seconds: float = 0.0
    interrupted: bool = False
    dry_run: bool = False
    changed_sources: tuple[str, ...] = ()
    documents: DocumentCounts | None = None
    alias: str | None = None
    replaced: str | None = None
    dropped: bool = False
    index_seconds: float | None = None
    points_approximate: bool = False

    def to_json(self) -> dict[str, Any]:
        """The same as a dict, seconds rounded to milliseconds."""
        index = self.index_seconds
        return asdict(self) | {
            "seconds": round(self.seconds, 3),
            "index_seconds": None if index is None else round(index, 3),
        }


ProgressHandler = Callable[[LoadReport], None]
