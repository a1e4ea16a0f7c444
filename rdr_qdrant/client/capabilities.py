"""The differences between the kinds of Qdrant a client may be of, as one value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient

    from rdr_qdrant.embedded import EmbeddedQdrant

SERVER_WRITE_STREAMS = 4
"""Concurrent requests to a server; Qdrant's guide for bulk uploads uses 2 to 4."""


@dataclass(frozen=True)
class Capabilities:
    """The properties of a Qdrant that decide how it is used. It is never asked which one it is.

    Attributes:
        takes_arrays: vectors may be passed as numpy arrays.
        takes_bytes: points may be sent as a body of JSON, or perhaps as protobuf.
        write_streams: threads besides the caller's that may write at a time; 0 where only the
            thread that opened the client may use it.
        indexes_in_background: the index grows by itself as points arrive.
        builds_index_on_request: the index is built by `build_index` only.
        reports_disk_bytes: `disk_bytes` returns a number.
        has_server_version: `server_version` returns the version of a server.
        supports_clustering: collections may have several shards and replicas.
    """

    takes_arrays: bool = False
    takes_bytes: bool = False
    write_streams: int = 0
    indexes_in_background: bool = False
    builds_index_on_request: bool = False
    reports_disk_bytes: bool = False
    has_server_version: bool = False
    supports_clustering: bool = False


SERVER = Capabilities(
    takes_bytes=True,
    write_streams=SERVER_WRITE_STREAMS,
    indexes_in_background=True,
    has_server_version=True,
    supports_clustering=True,
)
LOCAL_MODE = Capabilities(has_server_version=True)
"""Its version is that of the server whose interface it has."""


def capabilities(client: QdrantClient | AsyncQdrantClient) -> Capabilities:
    """The capabilities of the Qdrant that `client` is of; nothing is sent to it."""
    features = getattr(client, "features", None)  # declared by the embedded clients
    if features is None:
        return LOCAL_MODE if server_address(client) is None else SERVER
    return Capabilities(
        takes_arrays=features.takes_arrays,
        write_streams=features.concurrent_writes,
        builds_index_on_request=features.builds_index_on_request,
        reports_disk_bytes=features.reports_disk_bytes,
    )


def build_index(
    client: QdrantClient, collection_name: str, progress: Callable[[float], None] | None = None
) -> bool:
    """Build the collection's index where that has to be requested and pays.

    Args:
        client: of a server or embedded.
        collection_name: a collection or an alias.
        progress: called a few times a second with the seconds since the start.

    Returns:
        True if anything was built. Without an index a search is exact, only slower.

    Raises:
        EmbeddedQdrantError: the engine failed; the points are kept.
    """
    if not capabilities(client).builds_index_on_request:
        return False
    embedded = cast("EmbeddedQdrant", client)
    return embedded.index_pays(collection_name) and embedded.build_index(collection_name, progress)


def disk_bytes(client: QdrantClient, collection_name: str) -> int | None:
    """The disk space that a collection uses, in bytes; `None` where a server does not report it."""
    if not capabilities(client).reports_disk_bytes:
        return None
    return cast("EmbeddedQdrant", client).disk_bytes(collection_name)


def server_version(client: QdrantClient) -> tuple[int, int] | None:
    """Major and minor version of a server; `None` for an embedded Qdrant, or if it reports none."""
    if not capabilities(client).has_server_version:
        return None
    found = re.match(r"(\d+)\.(\d+)", client.info().version)
    return (int(found[1]), int(found[2])) if found else None


def server_address(client: QdrantClient | AsyncQdrantClient) -> str | None:
    """The URL of the client's server; `None` for a client without one."""
    try:
        http: Any = client.http
    except NotImplementedError:
        return None
    return str(http.points_api.api_client.host)


def location_of(client: QdrantClient | AsyncQdrantClient) -> str:
    """The location of a Qdrant for messages: the URL of a server, or the folder."""
    folder = getattr(client, "path", None)  # of the embedded clients
    if folder is not None:
        return f"the folder {folder}" + ("" if folder.exists() else " (which does not exist)")
    return server_address(client) or "this Qdrant"
