"""Changes of a collection in a cluster, whose nodes learn of them one after another.

Reading back at once may show the old state: another node answers, or the same one has not applied
the change yet (Qdrant 1.19, three nodes on one machine: 2 to 23 ms).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from rdr_qdrant.client.capabilities import capabilities
from rdr_qdrant.errors import StoreError

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from rdr_qdrant.client.retry import RetryPolicy

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
SETTLED_SECONDS = 0.3
"""Every look during this time must show a change: each may reach another node."""
STEP_SECONDS = 0.02


def look_until_seen(
    client: QdrantClient,
    retry: RetryPolicy,
    look: Callable[[], T],
    is_seen: Callable[[T], bool],
    patience: float | None = None,
) -> T:
    """Look until a change shows, on a cluster in every look of `SETTLED_SECONDS`.

    Args:
        client: of a server or embedded; anything but a cluster is looked at once.
        retry: makes the call that asks whether it is a cluster.
        look: reads the state that was changed.
        is_seen: tells whether a state has the change.
        patience: seconds after which a cluster is looked at no more; by default
            `PATIENCE_SECONDS`.

    Returns:
        The last state, which has the change unless it was not seen in time.
    """
    state = look()
    if not is_clustered(client, retry):
        return state
    give_up = time.monotonic() + (PATIENCE_SECONDS if patience is None else patience)
    seen_since = time.monotonic() if is_seen(state) else None
    while seen_since is None or time.monotonic() - seen_since < SETTLED_SECONDS:
        if seen_since is None and time.monotonic() > give_up:
            break
        time.sleep(STEP_SECONDS)
        state = look()
        if not is_seen(state):
            seen_since = None
        elif seen_since is None:
            seen_since = time.monotonic()
    return state


def is_clustered(client: QdrantClient, retry: RetryPolicy) -> bool:
    """True for several nodes; also for a server whose key may not ask."""
    if not capabilities(client).supports_clustering:
        return False
    try:
        return bool(retry(client, client.cluster_status).status == "enabled")
    except StoreError:
        return True
