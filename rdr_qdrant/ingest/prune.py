"""Removing the points of sources that the sources no longer have."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rdr_qdrant.collection import Collection
from rdr_qdrant.ingest.id_index import IdIndex

IDS_AT_A_TIME = 1000


def prune(
    collection: Collection,
    sources: Sequence[str],
    seen: IdIndex,
    *,
    id_prefix: str,
    keeps: Callable[[str, str], bool],
    dry_run: bool,
    check: Callable[[], None],
) -> int:
    """Remove every point whose `metadata.source` is one of these and that was not seen.

    Args:
        collection: one that we made.
        sources: names as they stand in the points' metadata.
        seen: every point that the sources have now.
        id_prefix: only points whose passage id begins so.
        keeps: whether a point stays all the same, by its source and passage id.
        dry_run: count them, and leave them.
        check: called before each request; may raise.

    Returns:
        How many.
    """
    removed = 0
    for source in dict.fromkeys(sources):
        for page in collection.points.scroll_source(source, IDS_AT_A_TIME):
            check()
            ours = [
                one
                for one, passage_id in page
                if passage_id.startswith(id_prefix) and not keeps(source, passage_id)
            ]
            gone = seen.without(ours)
            if gone and not dry_run:
                collection.points.delete_of_source(gone, source)
            removed += len(gone)
    return removed


def remove_leftovers(collection: Collection, seen: IdIndex, check: Callable[[], None]) -> int:
    """Remove every point that was not seen from a collection that only this load fills.

    They are of rows that an interrupted run of it met, and that are gone since.

    Args:
        check: called before each request; may raise.

    Returns:
        How many.
    """
    removed = 0
    for page in collection.points.scroll_ids(IDS_AT_A_TIME):
        check()
        gone = seen.without(page) if page else []
        if gone:
            collection.points.delete(gone)
        removed += len(gone)
    return removed
