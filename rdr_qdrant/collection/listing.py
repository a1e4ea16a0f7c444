"""All collections of one Qdrant, each in a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rdr_qdrant.collection.aliases import Aliases
from rdr_qdrant.collection.bulk_indexing import indexing_deferred
from rdr_qdrant.collection.collection import Collection

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


@dataclass(frozen=True, slots=True)
class ListedCollection:
    """A collection among others.

    Attributes:
        name: its name.
        points: number of points, exact.
        model: the pair that made it, or `None` where it does not say.
        aliases: other names of it, in order.
        index_put_off: whether a bulk load put index building off and has not ended.
    """

    name: str
    points: int
    model: str | None
    aliases: tuple[str, ...]
    index_put_off: bool


def list_collections(client: QdrantClient) -> list[ListedCollection]:
    """The collections by their names, whoever made them.

    Raises:
        StoreError: Qdrant does not answer or refuses.
    """
    every = Aliases(client)
    aliases = every.all()
    listed = []
    for name in every.collections():
        collection = Collection(client, name)
        listed.append(
            ListedCollection(
                name=name,
                points=collection.count(),
                model=collection.recorded_model(),
                aliases=tuple(sorted(alias for alias, of in aliases.items() if of == name)),
                index_put_off=indexing_deferred(collection.info()),
            )
        )
    return listed
