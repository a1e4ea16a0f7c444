"""How a load splits its texts, and deleting the parts that a text no longer has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rdr_qdrant.collection import Collection, PointId
from rdr_qdrant.errors import CollectionError
from rdr_qdrant.ingest.id_index import IdIndex
from rdr_qdrant.ingest.partitions import source_changes
from rdr_qdrant.passages import point_id
from rdr_qdrant.readers import PassageSource
from rdr_qdrant.splitter import SplitRecord, part_id, text_and_number

IDS_PER_REQUEST = 1000


@dataclass(frozen=True, slots=True)
class Splitting:
    """How a load splits its texts.

    Attributes:
        sources: of the load.
        record: how they are split.
    """

    sources: Sequence[PassageSource]
    record: SplitRecord

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
    whole_rows: bool,
    dry_run: bool,
    check: Callable[[], None],
) -> int:
    """Delete the parts of texts that the job read and that have fewer parts now.

    Args:
        collection: that was loaded.
        ids: every point of the job.
        whole_rows: also a text that was left whole and has parts now.
        dry_run: count the points, and keep them.
        check: called before each request; may raise.

    Returns:
        How many.
    """
    deleted = 0
    for page in collection.points.scroll_passage_ids(IDS_PER_REQUEST):
        check()
        gone = list(_leftovers(page, ids, whole_rows)) if page else []
        if gone and not dry_run:
            collection.points.delete(gone)
        deleted += len(gone)
    return deleted


def _leftovers(
    page: Sequence[tuple[PointId, str]], ids: IdIndex, whole_rows: bool
) -> Iterator[PointId]:
    """Points that the job did not read, of texts of which it did read something."""
    unread = set(ids.missing_from([one for one, _ in page]))
    texts: dict[PointId, list[PointId]] = {}
    for one, passage_id in page:
        if one not in unread:
            continue
        part = text_and_number(passage_id)
        same_text = [part_id(part[0], 1), part[0]] if part else []
        if whole_rows:
            same_text.append(part_id(passage_id, 1))
        for text in same_text:
            texts.setdefault(point_id(text), []).append(one)
    if texts:
        read = texts.keys() - set(ids.missing_from(list(texts)))
        yield from dict.fromkeys(one for text in read for one in texts[text])
