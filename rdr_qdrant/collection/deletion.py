"""Deleting points by id, metadata or source, or all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import RetryPolicy
from rdr_qdrant.collection.collection import Collection
from rdr_qdrant.collection.filters import indexed_fields, metadata_filter
from rdr_qdrant.collection.limits import parts
from rdr_qdrant.collection.point_encoding import PointId
from rdr_qdrant.collection.points import Points
from rdr_qdrant.passages import point_id

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

POINTS_PER_REQUEST = 1000


@dataclass(frozen=True, slots=True)
class PointSelection:
    """Points to delete: those with these ids, or those whose metadata match.

    Attributes:
        passage_ids: ids of passages; `None` selects by metadata.
        metadata: conditions that must all hold; without one every point is selected.
    """

    passage_ids: Sequence[str] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def delete_points(
    client: QdrantClient,
    collection_name: str,
    selection: PointSelection,
    *,
    allow_unverified: bool = False,
    dry_run: bool = False,
    retry: RetryPolicy | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Delete the selected points; the collection and its settings stay.

    Args:
        client: of a server or embedded.
        collection_name: a collection or an alias.
        selection: the points.
        allow_unverified: also in a collection that does not record that we made it, and also
            points of other programs.
        dry_run: count the points, and delete none.
        retry: makes the calls; by default each is made once.
        on_progress: called with the number of points so far.

    Returns:
        The number of points deleted.

    Raises:
        CollectionError: it is missing, or we did not make it.
        StoreError: Qdrant does not answer or refuses.
    """
    collection = Collection(client, collection_name, retry=retry)
    info = collection.info()
    if not allow_unverified:
        collection.check_ours("deleted")
    points, ours_only = collection.points, not allow_unverified
    matching = metadata_filter(selection.metadata, indexed_fields(info))
    deleted = 0
    for ids in _selected(points, selection.passage_ids, matching, ours_only=ours_only):
        if ids and not dry_run:
            points.delete(ids, matching)
        deleted += len(ids)
        if on_progress:
            on_progress(deleted)
    return deleted


def _selected(
    points: Points, passage_ids: Sequence[str] | None, matching: models.Filter, *, ours_only: bool
) -> Iterator[list[PointId]]:
    if passage_ids is not None:
        ids = list(dict.fromkeys(map(point_id, passage_ids)))
        for part in parts(ids, POINTS_PER_REQUEST):
            stored = points.retrieve(part)
            yield [i for i, p in stored.items() if not ours_only or p.content_hash is not None]
    elif ours_only:
        for page in points.scroll_ours(POINTS_PER_REQUEST, matching):
            yield [one for one, _ in page]
    else:
        yield from points.scroll_ids(POINTS_PER_REQUEST, matching)
