"""How a load splits its texts, and deleting the parts that a text no longer has."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass

from rdr_qdrant.collection import Collection, PointId
from rdr_qdrant.errors import CollectionError
from rdr_qdrant.ingest.id_index import IdIndex
from rdr_qdrant.ingest.prune import POINTS_PER_PAGE, delete_found
from rdr_qdrant.passages import point_id
from rdr_qdrant.readers import DocumentSource, PassageSource, source_changes
from rdr_qdrant.splitter import SplitRecord, part_id, text_and_number


@dataclass(frozen=True, slots=True)
class Splitting:
    """How a load splits its texts.

    Attributes:
        sources: of the load.
        record: how they are split.
        id_prefix: put before each id.
    """

    sources: Sequence[PassageSource]
    record: SplitRecord
    id_prefix: str = ""

    def check(self, name: str, recorded: SplitRecord | None) -> None:
        """Refuse to split a collection's texts in two ways.

        Args:
            name: of the collection.
            recorded: how its texts were split.

        Raises:
            CollectionError: otherwise than this load does.
        """
        conflict = recorded and recorded.conflict_with(self.record)
        if conflict:
            raise CollectionError(
                f"Collection {name!r} has {conflict}: texts would be in it in both ways. Split as "
                "before (--split, --split-by, --overlap), load into another collection (or with "
                "--swap-alias), or replace the texts of this load with --allow-resplit "
                "(allow_resplit)."
            )

    def split_texts(self) -> Container[str] | None:
        """The ids of the texts that this load splits; `None`: all of them.

        Rows that were left whole may have ids like those of parts: nobody asked to delete them.
        """
        if None not in self.record.rows:
            return None
        documents = (one for one in self.sources if isinstance(one, DocumentSource))
        return {f"{self.id_prefix}{path}" for source in documents for path in source.paths}

    def replaces_whole_rows(self, recorded: SplitRecord | None) -> bool:
        """True if the collection may hold rows whole that this load splits."""
        return any(self.record.rows) and (recorded is None or None in recorded.rows)

    def may_leave_parts(self, recorded: SplitRecord | None) -> bool:
        """True if the collection may hold parts of this load's texts that they no longer have."""
        splits = self.record.splits_texts or (recorded is not None and recorded.splits_texts)
        return splits and not source_changes(self.sources)


def delete_leftover_parts(
    collection: Collection,
    ids: IdIndex,
    *,
    split_texts: Container[str] | None,
    split_before: bool,
    whole_before: bool,
    dry_run: bool,
    check: Callable[[], None],
) -> int:
    """Delete the parts of texts that the job read and that have fewer parts now.

    Args:
        collection: that was loaded.
        ids: every point of the job.
        split_texts: see `Splitting.split_texts`.
        split_before: also the parts of a text that is left whole now.
        whole_before: also a text that was left whole and has parts now.
        dry_run: count the points, and keep them.
        check: called before each request; may raise.

    Returns:
        How many.
    """

    def same_text(passage_id: str) -> list[str]:
        """Ids of which any that was read shows that the passage is one of a text's former ones."""
        found = []
        if part := text_and_number(passage_id):
            if split_texts is None or part[0] in split_texts:
                found.append(part_id(part[0], 1))
            if split_before:
                found.append(part[0])
        return [*found, part_id(passage_id, 1)] if whole_before else found

    def find_gone(page: Sequence[tuple[PointId, str]]) -> list[PointId]:
        same = [(one, same_text(passage_id)) for one, passage_id in page]
        return list(_leftovers(same, ids))

    pages = collection.points.scroll_ours(POINTS_PER_PAGE)
    return delete_found(pages, find_gone, None if dry_run else collection.points.delete, check)


def _leftovers(page: Sequence[tuple[PointId, Sequence[str]]], ids: IdIndex) -> Iterator[PointId]:
    """Points that the job did not read, though it read another passage of the same text."""
    unread = set(ids.unread([one for one, _ in page]))
    texts: dict[PointId, list[PointId]] = {}
    for one, same_text in page:
        for other in same_text if one in unread else ():
            texts.setdefault(point_id(other), []).append(one)
    if texts:
        read = texts.keys() - set(ids.unread(list(texts)))
        yield from dict.fromkeys(one for text in read for one in texts[text])
