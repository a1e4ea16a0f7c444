"""The gRPC port of a server, which it has beside that of REST."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rdr_qdrant.client.capabilities import server_address
from rdr_qdrant.client.proxy import proxy_for

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

QDRANT_PORT = 6333
QDRANT_GRPC_PORT = 6334


def may_have_grpc(client: QdrantClient) -> bool:
    """True if it is worth asking whether gRPC answers; nothing is sent.

    It is where the client names a port, or its server has Qdrant's own one for REST: behind
    another port or a path may be a proxy or a port mapping. A proxy of the environment forwards
    HTTP; whether it forwards gRPC only a named port tells.
    """
    options, address = client.init_options, server_address(client)
    if address is None:
        return False
    if options["grpc_port"] != QDRANT_GRPC_PORT:
        return True
    parts = urlsplit(address)
    return parts.port == QDRANT_PORT and not parts.path.strip("/") and proxy_for(address) is None


def prefers_grpc(client: QdrantClient) -> bool:
    """True for a client that makes all calls over gRPC, so that REST may not answer."""
    return server_address(client) is not None and bool(client.init_options["prefer_grpc"])


def grpc_port_of(client: QdrantClient) -> int | None:
    """The port that a client has for gRPC; `None` without a server."""
    return None if server_address(client) is None else client.init_options["grpc_port"]


def grpc_timeout(client: QdrantClient) -> int:
    """Seconds after which the client gives up a call."""
    from qdrant_client.qdrant_remote import QdrantRemote

    return math.ceil(client.init_options["timeout"] or QdrantRemote.DEFAULT_GRPC_TIMEOUT)
