"""The embedded store: Qdrant's own engine in this process, behind the client's interface.

client, asynchronous      EmbeddedQdrant, AsyncEmbeddedQdrant: what a caller holds
backend                   the client's methods: reading + writing + administering
changes, description      how a configuration is changed, how a collection is described
folder, lock, settings    the collections in a folder; who has it open; the JSON files
collection, sharing       one shard, opened on first use, shared by threads
translate/                the client's models <-> the engine's objects
local_mode                folders that the client's local mode wrote
refusals                  what is not supported, and engine failures as known errors
"""

from rdr_qdrant.embedded.async_client import AsyncEmbeddedQdrant
from rdr_qdrant.embedded.embedded_client import INDEX_PAYS_FROM, EmbeddedQdrant
from rdr_qdrant.embedded.errors import NotSupportedError, StoreClosedError
from rdr_qdrant.embedded.legacy_local import is_local_mode

__all__ = [
    "INDEX_PAYS_FROM",
    "AsyncEmbeddedQdrant",
    "EmbeddedQdrant",
    "NotSupportedError",
    "StoreClosedError",
    "is_local_mode",
]
