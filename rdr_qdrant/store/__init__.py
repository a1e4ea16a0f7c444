"""How to reach a Qdrant, a server or a folder; nothing above this room knows which."""

from rdr_qdrant.store.access import key_for, read_key_file
from rdr_qdrant.store.connect import (
    DEFAULT_PATH,
    connect,
    connect_async,
    connect_two,
    is_url,
    server_url,
)
from rdr_qdrant.store.reaching import (
    RequestTooLargeError,
    UnindexedFilterError,
    place_of,
    reaching,
)
from rdr_qdrant.store.retrying import RETRY_FOR_SECONDS, Retrying
from rdr_qdrant.store.streams import takes_arrays, write_streams
from rdr_qdrant.store.upkeep import (
    build_index,
    builds_index_itself,
    disk_bytes,
    server_version,
)

__all__ = [
    "DEFAULT_PATH",
    "RETRY_FOR_SECONDS",
    "RequestTooLargeError",
    "Retrying",
    "UnindexedFilterError",
    "build_index",
    "builds_index_itself",
    "connect",
    "connect_async",
    "connect_two",
    "disk_bytes",
    "is_url",
    "key_for",
    "place_of",
    "reaching",
    "read_key_file",
    "server_url",
    "server_version",
    "takes_arrays",
    "write_streams",
]
