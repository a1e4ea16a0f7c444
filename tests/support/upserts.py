"""Watching the calls by which points are written, whichever way they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qdrant_client import QdrantClient

from rdr_qdrant.client import capabilities


def after_each_upsert(client: QdrantClient, act: Callable[[], object]) -> None:
    """Call `act` right after points were written, in the thread that wrote them."""
    sends_bytes = capabilities(client).takes_bytes
    owner: Any = client.http.client if sends_bytes else client
    name = "request" if sends_bytes else "upsert"
    call = getattr(owner, name)

    def watched(*arguments: Any, **options: Any) -> Any:
        result = call(*arguments, **options)
        if not sends_bytes or (options["method"], options["url"][-7:]) == ("PUT", "/points"):
            act()
        return result

    setattr(owner, name, watched)
