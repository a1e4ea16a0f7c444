"""How a client is best given points: how many requests at a time, and what vectors are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

SERVER_STREAMS = 4
"""Requests at a time to a server; Qdrant's own guide for bulk uploads uses 2 to 4."""


def write_streams(client: QdrantClient) -> int:
    """How many threads beside the caller's may write at a time.

    A server takes several; our embedded engine one; the client's own local mode may be used by the
    thread that opened it alone, so that there are none.
    """
    if getattr(getattr(client, "_client", None), "rest_uri", None) is not None:
        return SERVER_STREAMS
    return 1 if takes_arrays(client) else 0


def takes_arrays(client: QdrantClient) -> bool:
    """Whether it takes numpy vectors as they are: only our embedded engine does."""
    from rdr_qdrant.embedded import EmbeddedQdrant

    return isinstance(client, EmbeddedQdrant)
