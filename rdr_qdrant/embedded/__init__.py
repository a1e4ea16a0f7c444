"""Qdrant's engine (Qdrant Edge) in this process, behind the interface of `QdrantClient`.

embedded_client, async_client     EmbeddedQdrant, AsyncEmbeddedQdrant
local_backend                     the interface's methods, gathered from the three below
  collection_operations           create, describe, update and delete collections; aliases; indexes
  read_operations                 retrieve, scroll, count, facet, query
  write_operations                upsert, upload, payload, vectors, delete
storage, folder_lock              the folder of collections; the lock on it
shard, rwlock                     one collection's engine, shared by threads
config_files, config_update       the JSON settings files; how update_collection changes settings
convert/                          qdrant-client's models <-> the engine's objects
disk_space                        checks before the engine writes
legacy_local                      folders written by qdrant-client's local mode
errors                            EmbeddedQdrantError and its kinds

It imports nothing else of this project.
"""

from rdr_qdrant.embedded.async_client import AsyncEmbeddedQdrant
from rdr_qdrant.embedded.embedded_client import (
    MIN_UNINDEXED_FOR_BUILD,
    EmbeddedQdrant,
    Features,
)
from rdr_qdrant.embedded.errors import (
    ClientClosedError,
    EmbeddedQdrantError,
    NotSupportedError,
)
from rdr_qdrant.embedded.legacy_local import LegacyFolderError, is_local_mode, open_local_mode

__all__ = [
    "MIN_UNINDEXED_FOR_BUILD",
    "AsyncEmbeddedQdrant",
    "ClientClosedError",
    "EmbeddedQdrant",
    "EmbeddedQdrantError",
    "Features",
    "LegacyFolderError",
    "NotSupportedError",
    "is_local_mode",
    "open_local_mode",
]
