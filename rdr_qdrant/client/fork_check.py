"""Refuses a server's client in a forked process.

A fork copies the client with its open connections, and neither qdrant-client nor httpx notices: the
two processes would read each other's answers. A gRPC channel may hang.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from rdr_qdrant.client.capabilities import server_address
from rdr_qdrant.errors import StoreError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient

_first_used_in: WeakKeyDictionary[QdrantClient | AsyncQdrantClient, int] = WeakKeyDictionary()
"""The process that made the first call with a client."""


def refuse_in_forked_process(client: QdrantClient | AsyncQdrantClient) -> None:
    """Note the process of a client's first call; `connect` makes one.

    A client without a server is left alone: the embedded engine has its own check.

    Raises:
        StoreError: another process made the first call.
    """
    here = os.getpid()
    process = _first_used_in.setdefault(client, here)
    if process == here:
        return
    address = server_address(client)
    if address is not None:
        raise StoreError(
            f"This client of Qdrant at {address} was used by process {process} and cannot be used "
            f"in process {here}, which was forked from it: both would share one connection. Call "
            "connect in the process that uses the client."
        )
