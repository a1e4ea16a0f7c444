"""What only an embedded collection needs or tells: building its index, its size on disk."""

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


def disk_bytes(client: QdrantClient, collection_name: str) -> int | None:
    """What a collection takes on disk, or `None` where a server keeps that to itself."""
    from rdr_qdrant.store.embedded import EmbeddedQdrant

    if not isinstance(client, EmbeddedQdrant):
        return None
    return client.disk_bytes(collection_name)
