"""Deleting the points of sources that the sources no longer have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rdr_qdrant.collection import Collection
from rdr_qdrant.ingest.counters import Counters
from rdr_qdrant.ingest.document_cache import keeps_rejected_documents, rejected_documents
from rdr_qdrant.ingest.id_index import IdIndex
from rdr_qdrant.readers import PassageSource

IDS_PER_REQUEST = 1000


@dataclass(frozen=True, slots=True)
class Pruning:
    """A request to prune.

    Attributes:
        sources: whose points are pruned.
        id_prefix: only points whose passage id begins so.
    """

    sources: Sequence[PassageSource]
    id_prefix: str

    def is_possible(self, counters: Counters) -> bool:
        """True if every row was read, so that the ids of all are known."""
        if any(source.rejected_upstream for source in self.sources):
            return False
        return counters["rejected"] - rejected_documents(self.sources) <= counters["id_conflicts"]


def prune_sources(
    collection: Collection,
    pruning: Pruning,
    ids: IdIndex,
    *,
    dry_run: bool,
    check: Callable[[], None],
) -> int:
    """Delete every point of these sources that the job did not read.

    Args:
        collection: one that we made.
        pruning: which sources; those without any row are left alone.
        ids: every point that the sources have now.
        dry_run: count the points, and keep them.
        check: called before each request; may raise.

    Returns:
        How many.
    """
    removed = 0
    keeps = keeps_rejected_documents(pruning.sources, pruning.id_prefix)
    for source in dict.fromkeys(one.name for one in pruning.sources if one.records_read):
        for page in collection.points.scroll_source(source, IDS_PER_REQUEST):
            check()
            candidates = [
                one
                for one, passage_id in page
                if passage_id.startswith(pruning.id_prefix) and not keeps(source, passage_id)
            ]
            gone = ids.missing_from(candidates)
            if gone and not dry_run:
                collection.points.delete_of_source(gone, source)
            removed += len(gone)
    return removed


def remove_leftovers(collection: Collection, ids: IdIndex, check: Callable[[], None]) -> int:
    """Delete every point that the job did not read, from a collection that only it fills.

    They are points of an interrupted run whose records are gone since.

    Args:
        collection: one that waits for its alias.
        ids: every point of the job.
        check: called before each request; may raise.

    Returns:
        How many.
    """
    removed = 0
    for page in collection.points.scroll_ids(IDS_PER_REQUEST):
        check()
        gone = ids.missing_from(page) if page else []
        if gone:
            collection.points.delete(gone)
        removed += len(gone)
    return removed
