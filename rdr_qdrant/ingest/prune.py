"""Deleting the points of sources that the sources no longer have."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rdr_qdrant.collection import Collection, PointId
from rdr_qdrant.collection.points import source_filter
from rdr_qdrant.ingest.counters import Counters
from rdr_qdrant.ingest.document_cache import keeps_rejected_documents, rejected_documents
from rdr_qdrant.ingest.id_index import IdIndex
from rdr_qdrant.passages import FILE_KEY, SOURCE_KEY
from rdr_qdrant.readers import PassageSource, source_changes

logger = logging.getLogger(__name__)

POINTS_PER_PAGE = 1000


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
        """True if every row was read, of sources that did not change, so that all ids are known."""
        if any(source.rejected_upstream for source in self.sources):
            return False
        if source_changes(self.sources):
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
    keeps = keeps_rejected_documents(pruning.sources, pruning.id_prefix)

    def prune(source: str, key: str) -> int:
        def find_gone(page: Sequence[tuple[PointId, str]]) -> Sequence[PointId]:
            return ids.unread(
                [
                    one
                    for one, passage_id in page
                    if passage_id.startswith(pruning.id_prefix) and not keeps(source, passage_id)
                ]
            )

        def delete(gone: Sequence[PointId]) -> None:
            collection.points.delete(gone, of_source)

        of_source = source_filter(source, key)
        others = FILE_KEY if key == SOURCE_KEY else ""  # loaded from a file, and only called so
        pages = collection.points.scroll_ours(POINTS_PER_PAGE, of_source, without=others)
        return delete_found(pages, find_gone, None if dry_run else delete, check)

    sources = dict.fromkeys(s.name for s in pruning.sources if s.records_read)
    keys = [key for key in (SOURCE_KEY, FILE_KEY) if collection.payload_indexes.takes_filter(key)]
    if FILE_KEY not in keys:
        logger.warning(
            "Rows with a column 'source' are not pruned: collection %r is in strict mode and has "
            "no payload index of %r. Add it with --payload-index %s",
            collection.name,
            FILE_KEY,
            FILE_KEY,
        )
    return sum(prune(source, key) for source in sources for key in keys)


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

    def find_gone(page: Sequence[tuple[PointId, str]]) -> Sequence[PointId]:
        return ids.missing_from([one for one, _ in page])

    pages = collection.points.scroll_ours(POINTS_PER_PAGE)
    return delete_found(pages, find_gone, collection.points.delete, check)


def delete_found(
    pages: Iterable[list[tuple[PointId, str]]],
    find_gone: Callable[[Sequence[tuple[PointId, str]]], Sequence[PointId]],
    delete: Callable[[Sequence[PointId]], object] | None,
    check: Callable[[], None],
) -> int:
    """Go through the points of a collection, and delete those that are gone from the sources.

    Args:
        pages: point ids and passage ids; some pages may be empty.
        find_gone: the points of a page to delete.
        delete: deletes them; `None` only counts.
        check: called before each request; may raise.

    Returns:
        How many.
    """
    deleted = 0
    for page in pages:
        check()
        gone = find_gone(page) if page else ()
        if gone and delete:
            delete(gone)
        deleted += len(gone)
    return deleted
