"""How to reach a Qdrant, a server or a folder; nothing above this room knows which."""

from rdr_qdrant.store.access import read_key_file
from rdr_qdrant.store.connect import (
    DEFAULT_PATH,
    connect,
    connect_async,
    connect_two,
    is_url,
)
from rdr_qdrant.store.indexing import build_index
from rdr_qdrant.store.reaching import RequestTooLargeError, reaching
from rdr_qdrant.store.retrying import RETRY_FOR_SECONDS, Retrying

__all__ = [
    "DEFAULT_PATH",
    "RETRY_FOR_SECONDS",
    "RequestTooLargeError",
    "Retrying",
    "build_index",
    "connect",
    "connect_async",
    "connect_two",
    "is_url",
    "reaching",
    "read_key_file",
]
