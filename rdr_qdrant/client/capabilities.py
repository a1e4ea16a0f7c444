"""In what an embedded Qdrant and a server differ: who builds the index, versions, sizes on disk."""

from __future__ import annotations

import re
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
    from rdr_qdrant.embedded import EmbeddedQdrant

    if not (isinstance(client, EmbeddedQdrant) and client.index_pays(collection_name)):
        return False
    return client.build_index(collection_name, progress)


def disk_bytes(client: QdrantClient, collection_name: str) -> int | None:
    """What a collection takes on disk, or `None` where a server keeps that to itself."""
    from rdr_qdrant.embedded import EmbeddedQdrant

    if not isinstance(client, EmbeddedQdrant):
        return None
    return client.disk_bytes(collection_name)


def builds_index_itself(client: QdrantClient) -> bool:
    """Whether its index grows in the background as points come: a server's does."""
    from rdr_qdrant.embedded import EmbeddedQdrant

    return not isinstance(client, EmbeddedQdrant)


def server_version(client: QdrantClient) -> tuple[int, int] | None:
    """Major and minor version of a server; `None` for an embedded Qdrant, or where it says none."""
    if not builds_index_itself(client):
        return None
    found = re.match(r"(\d+)\.(\d+)", client.info().version)
    return (int(found[1]), int(found[2])) if found else None
