"""How to reach a Qdrant, a server or a folder; nothing above this room knows which."""

from rdr_qdrant.store.connect import DEFAULT_PATH, connect
from rdr_qdrant.store.reaching import reaching

__all__ = ["DEFAULT_PATH", "connect", "reaching"]
