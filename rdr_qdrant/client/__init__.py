"""How to reach a Qdrant, a server or a folder; nothing above this room knows which."""

from rdr_qdrant.client.api_key import key_for, read_key_file
from rdr_qdrant.client.capabilities import (
    build_index,
    builds_index_itself,
    disk_bytes,
    server_version,
)
from rdr_qdrant.client.connect import (
    DEFAULT_PATH,
    connect,
    connect_async,
    connect_two,
    is_url,
    server_url,
)
from rdr_qdrant.client.error_mapping import (
    RequestTooLargeError,
    UnindexedFilterError,
    location_of,
    translate_client_errors,
)
from rdr_qdrant.client.retry import RETRY_FOR_SECONDS, RetryPolicy
from rdr_qdrant.client.streams import takes_arrays, write_streams

__all__ = [
    "DEFAULT_PATH",
    "RETRY_FOR_SECONDS",
    "RequestTooLargeError",
    "RetryPolicy",
    "UnindexedFilterError",
    "build_index",
    "builds_index_itself",
    "connect",
    "connect_async",
    "connect_two",
    "disk_bytes",
    "is_url",
    "key_for",
    "location_of",
    "read_key_file",
    "server_url",
    "server_version",
    "takes_arrays",
    "translate_client_errors",
    "write_streams",
]
