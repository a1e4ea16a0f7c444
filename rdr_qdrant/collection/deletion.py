"""Deleting points by id, metadata or source, or all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import RetryPolicy
from rdr_qdrant.collection.collection import Collection
from rdr_qdrant.collection.filters import metadata_filter
from rdr_qdrant.collection.points import PointId, normalized_id
from rdr_qdrant.collection.qdrant_params import indexed_fields
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
        allow_unverified: also in a collection that does not record that we made it.
        dry_run: count the points, and delete none.
        retry: makes the calls; by default each is made once.
        on_progress: called with the number of points so far.

    Returns:
        The number of points deleted.

    Raises:
        CollectionError: it is missing, or we did not make it.
        StoreError: Qdrant does not answer or refuses.
    """
    from qdrant_client import models

    retry = retry or RetryPolicy()
    collection = Collection(client, collection_name, retry=retry)
    info = collection.info()
    if not allow_unverified:
        collection.check_ours("deleted")
    matching = metadata_filter(selection.metadata, indexed_fields(info))
    if selection.passage_ids is not None:
        pages = _present(client, collection_name, selection.passage_ids, retry)
    else:
        pages = _matching(client, collection_name, matching, retry)
    deleted = 0
    for ids in pages:
        if ids and not dry_run:  # a point that was changed meanwhile must still match
            still_matching = models.Filter(must=[models.HasIdCondition(has_id=list(ids)), matching])
            selector = models.FilterSelector(filter=still_matching)
            retry(
                client,
                lambda selector=selector: client.delete(  # type: ignore[misc]
                    collection_name, selector, wait=True
                ),
            )
        deleted += len(ids)
        if on_progress:
            on_progress(deleted)
    return deleted


def _present(
    client: QdrantClient, name: str, passage_ids: Sequence[str], retry: RetryPolicy
) -> Iterator[list[PointId]]:
    wanted = list(dict.fromkeys(point_id(passage_id) for passage_id in passage_ids))
    for start in range(0, len(wanted), POINTS_PER_REQUEST):
        ids = wanted[start : start + POINTS_PER_REQUEST]
        records = retry(
            client,
            lambda ids=ids: client.retrieve(  # type: ignore[misc]
                name, ids, with_payload=False, with_vectors=False
            ),
        )
        yield [normalized_id(record.id) for record in records]


def _matching(
    client: QdrantClient, name: str, matching: models.Filter, retry: RetryPolicy
) -> Iterator[list[PointId]]:
    offset: Any = None
    while True:
        records, offset = retry(
            client,
            lambda offset=offset: client.scroll(  # type: ignore[misc]
                name,
                scroll_filter=matching,
                limit=POINTS_PER_REQUEST,
                offset=offset,
                with_payload=False,
            ),
        )
        yield [normalized_id(record.id) for record in records]
        if offset is None:
            return
