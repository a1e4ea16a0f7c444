"""Building the index of an embedded collection; a server does it by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


def build_index(
    client: QdrantClient, collection_name: str, progress: Callable[[float], None] | None = None
) -> bool:
    """Build the collection's index where that is ours to do and pays.

    Args:
        client: of a server or embedded.
        collection_name: a collection or an alias.
        progress: called a few times a second with the seconds since the start.

    Returns:
        Whether anything was built. Without an index a search is exact, only slower.

    Raises:
        StoreError: the engine failed; the points are kept.
    """
    from rdr_qdrant.store.embedded import EmbeddedQdrant

    if not (isinstance(client, EmbeddedQdrant) and client.index_pays(collection_name)):
        return False
    return client.build_index(collection_name, progress)
