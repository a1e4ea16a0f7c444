"""The ways of points to a Qdrant: into the embedded engine, over gRPC, or over REST."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rdr_qdrant.client import (
    RequestTooLargeError,
    capabilities,
    describe_grpc_error,
    grpc_timeout,
    is_grpc_transport_failure,
    may_have_grpc,
    prefers_grpc,
)
from rdr_qdrant.collection.connection import CREATION_KEY, CollectionConnection, metadata_of
from rdr_qdrant.collection.point_encoding import Point, to_json, to_message, to_structs

logger = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 16 * 2**20
"""Size limit of one request. Qdrant's own limit is 32 MiB (`max_request_size_mb`)."""
POINTS_WORTH_GRPC = 64
"""Points in a request from which on it is asked whether gRPC answers."""
SECONDS_TO_TRY_GRPC = 2.0
SHORTEST_PAUSE_SECONDS = 5.0
"""After gRPC failed, it is tried again no sooner."""
PAUSE_PER_WAIT = 10.0
"""Seconds until it is tried again, for each second that it took to fail."""


class PointUpload:
    """Sends points to one collection, in the cheapest form that its Qdrant takes.

    A server takes them over gRPC in a third of the bytes. It does so at a port of its own, which
    may be closed, or belong to another server: it has to know the collection by the id of its
    creation. Otherwise, and where gRPC fails later, points are sent over REST, which one warning
    says. A client that prefers gRPC makes all calls over it, and no others. Threads may share an
    instance.
    """

    def __init__(self, connection: CollectionConnection) -> None:
        self._connection = connection
        self._client = connection.client
        self._lock = threading.Lock()
        self._prefers_grpc = prefers_grpc(connection.client)
        self._uses_grpc = self._prefers_grpc
        self._next_try = float("inf") if self._prefers_grpc else 0.0
        self._warned = False

    def request(self, points: Sequence[Point]) -> Callable[[], object]:
        """Return the call that writes points, and returns when they are written.

        Raises:
            RequestTooLargeError: fewer points have to be written at a time.
        """
        connection, vector_name = self._connection, self._connection.vector_name
        able = capabilities(self._client)
        if not able.takes_bytes:
            structs = to_structs(points, vector_name, arrays=able.takes_arrays)
            return partial(self._client.upsert, connection.name, points=structs, wait=True)
        if self._grpc_is_usable(len(points)):
            try:
                message, bytes_at_most = to_message(points, vector_name, connection.name)
            except ValueError:
                pass  # an integer that only JSON can hold
            else:
                if bytes_at_most > MAX_REQUEST_BYTES:
                    _check_size(len(points), message.ByteSize())
                return partial(self._send_message, message, points)
        body = to_json(points, vector_name)
        _check_size(len(points), len(body))
        return partial(connection.send_json, "PUT", "/points", body, wait="true")

    def _send_message(self, message: Any, points: Sequence[Point]) -> None:
        """Send points over gRPC, or over REST where only that works."""
        from grpc import RpcError

        reason, started = None, time.monotonic()
        if self._uses_grpc:  # as it did when the message was made
            try:
                self._client.grpc_points.Upsert(message, timeout=grpc_timeout(self._client))
                return
            except RpcError as error:
                if self._prefers_grpc or not is_grpc_transport_failure(error):
                    raise
                reason = describe_grpc_error(error)
        waited = time.monotonic() - started
        body = to_json(points, self._connection.vector_name)
        self._connection.send_json("PUT", "/points", body, wait="true")
        if reason is None:
            return
        with self._lock:
            self._uses_grpc = False
            pause = max(SHORTEST_PAUSE_SECONDS, PAUSE_PER_WAIT * waited)
            self._next_try = time.monotonic() + pause
            self._warn(f"gRPC failed ({reason})")

    def _grpc_is_usable(self, count: int) -> bool:
        with self._lock:
            if count >= POINTS_WORTH_GRPC and time.monotonic() >= self._next_try:
                self._next_try = float("inf")
                self._uses_grpc = self._is_known_over_grpc()
            return self._uses_grpc

    def _is_known_over_grpc(self) -> bool:
        """Return whether gRPC answers, and knows the collection by the id of its creation."""
        from grpc import RpcError
        from qdrant_client import grpc
        from qdrant_client.common.client_exceptions import QdrantException

        info = self._connection.find_info() if may_have_grpc(self._client) else None
        creation_id = metadata_of(info).get(CREATION_KEY) if info else None
        if not isinstance(creation_id, str):  # made by other software, or before Qdrant 1.16
            return False
        port = self._client.init_options["grpc_port"]
        request = grpc.GetCollectionInfoRequest(collection_name=self._connection.name)
        try:
            answer = self._client.grpc_collections.Get(
                request,
                timeout=SECONDS_TO_TRY_GRPC,
                wait_for_ready=self._warned,  # it failed before: the channel may have to reconnect
            )
        except (RpcError, QdrantException) as error:
            self._warn(f"the gRPC port {port} does not serve it ({describe_grpc_error(error)})")
            return False
        found = answer.result.config.metadata
        if CREATION_KEY in found and found[CREATION_KEY].string_value == creation_id:
            return True
        self._warn(f"the gRPC port {port} belongs to another Qdrant")
        return False

    def _warn(self, reason: str) -> None:
        """Log once that REST is used; the lock is held."""
        if not self._warned:
            self._warned = True
            logger.warning(
                "Points of collection %r are sent over REST, which takes more of this machine's "
                "time: %s. --grpc-port (grpc_port) names another port",
                self._connection.name,
                reason,
            )


def _check_size(points: int, size: int) -> None:
    if size > MAX_REQUEST_BYTES and points > 1:
        raise RequestTooLargeError(f"{points} points are {size} bytes.")
