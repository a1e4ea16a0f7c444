"""Connections to Qdrant: a server or an embedded folder.

cluster          waiting for a change to be seen by the nodes of a cluster
connect          connect, connect_async: from a URL or a path to a client
capabilities     Capabilities: how a client is used, whatever it is a client of
error_mapping    the errors of all clients as StoreError
grpc_port        a server's port for gRPC, and whether to try it
fork_check       refuses a server's client in a forked process
remedies         what to do about a server's refusals, by its words
retry            RetryPolicy, SearchRetryPolicy: repeat calls that failed for now
reconnect        ClientAddress: opens a client again in another process
api_key          the API key, and the hosts it may be sent to
proxy            the proxy that applies to a server
"""

from rdr_qdrant.client.api_key import read_key_file, resolve_api_key
from rdr_qdrant.client.capabilities import (
    Capabilities,
    build_index,
    capabilities,
    disk_bytes,
    location_of,
    server_version,
)
from rdr_qdrant.client.cluster import look_until_seen
from rdr_qdrant.client.connect import (
    DEFAULT_PATH,
    connect,
    connect_async,
    connect_source_and_target,
    is_url,
    server_url,
)
from rdr_qdrant.client.error_mapping import (
    AccessDeniedError,
    CollectionNotFoundError,
    LimitExceededError,
    PartlyDownError,
    RateLimitedError,
    RequestTooLargeError,
    UnindexedFilterError,
    describe_grpc_error,
    is_grpc_transport_failure,
    translate_client_errors,
)
from rdr_qdrant.client.grpc_port import grpc_port_of, grpc_timeout, may_have_grpc, prefers_grpc
from rdr_qdrant.client.reconnect import ClientAddress
from rdr_qdrant.client.retry import (
    RATE_LIMITED,
    RETRY_FOR_SECONDS,
    RetryPolicy,
    SearchRetryPolicy,
)

__all__ = [
    "DEFAULT_PATH",
    "RATE_LIMITED",
    "RETRY_FOR_SECONDS",
    "AccessDeniedError",
    "Capabilities",
    "ClientAddress",
    "CollectionNotFoundError",
    "LimitExceededError",
    "PartlyDownError",
    "RateLimitedError",
    "RequestTooLargeError",
    "RetryPolicy",
    "SearchRetryPolicy",
    "UnindexedFilterError",
    "build_index",
    "capabilities",
    "connect",
    "connect_async",
    "connect_source_and_target",
    "describe_grpc_error",
    "disk_bytes",
    "grpc_port_of",
    "grpc_timeout",
    "is_grpc_transport_failure",
    "is_url",
    "location_of",
    "look_until_seen",
    "may_have_grpc",
    "prefers_grpc",
    "read_key_file",
    "resolve_api_key",
    "server_url",
    "server_version",
    "translate_client_errors",
]
