"""A Qdrant for tests: REST over real HTTP, an embedded client behind it, and faults on command.

    with QdrantHTTPServer() as server:
        client = QdrantClient(url=server.url)
        server.inject(ResetAfter(), times=1, match="PUT .*/points")

As a process: `tests.support.qdrant_server`.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic_core import to_json
from qdrant_client import QdrantClient, models

from tests.support.cluster import Cluster
from tests.support.faults import EVERY_CALL, Fault, FaultPlan
from tests.support.http_listener import Listener, Reply, Request, refusal, reusable_socket
from tests.support.qdrant_calls import ApiError, Call
from tests.support.qdrant_routes import find
from tests.support.rights import Key
from tests.support.server_settings import ServerSettings

HEALTH = {
    "/healthz": b"healthz check passed",
    "/livez": b"healthz check passed",
    "/readyz": b"all shards are ready",
}


class QdrantHTTPServer:
    """Answers Qdrant's REST calls on 127.0.0.1 from `backend`, by default an in-memory client.

    A `backend` with a path must be made with `force_disable_check_same_thread=True`; a given one
    stays open when the server closes. What local mode warns of, this process warns of. `version`
    follows the client's, which warns of another. `max_request_bytes` is Qdrant's own default; a
    larger body gets 400, as from Qdrant, or another `oversize_status` (413: a proxy before it).
    `keys` are keys with fewer rights than the `api_key`.
    With a `cluster` it answers like several nodes. Each collection starts with the limits of
    `strict`, as on Qdrant Cloud; `clock` drives the rates.
    """

    def __init__(
        self,
        backend: QdrantClient | None = None,
        api_key: str | None = None,
        *,
        port: int = 0,
        version: str = "1.20.0",
        max_request_bytes: int = 32 * 1024 * 1024,
        oversize_status: int = 400,
        keys: Mapping[str, Key] | None = None,
        cluster: Cluster | None = None,
        strict: models.StrictModeConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cluster = cluster
        self._settings = ServerSettings(clock, strict)
        self.faults = FaultPlan()
        self.requests: Counter[str] = Counter()
        """How often each "METHOD /path/{template}" was asked, faulted or not."""
        self.bytes_received = 0
        """Bytes of request bodies."""
        self.max_request_bytes = max_request_bytes
        self.oversize_status = oversize_status
        self._version = version
        self._keys = dict(keys or {})
        if api_key is not None:
            self._keys[api_key] = Key("manage")
        self._backend = backend or QdrantClient(":memory:")
        self._owns_backend = backend is None
        self._backend_lock = threading.Lock()
        self._count_lock = threading.Lock()
        self._lifecycle = threading.RLock()
        self._listener: Listener | None = None
        self._closed = False
        # Bound, never listening: keeps the port ours while away, and connections to it refused.
        self._reserved = reusable_socket()
        self._reserved.bind(("127.0.0.1", port))
        self.port: int = self._reserved.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> QdrantHTTPServer:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def faulted(self) -> Counter[type[Fault]]:
        """How many requests suffered each kind of fault: `server.faulted[ResetAfter]`."""
        return self.faults.faulted

    def inject(self, fault: Fault, times: int = 1, match: str = EVERY_CALL) -> None:
        """Let the next `times` requests whose whole "METHOD /path" matches suffer `fault`."""
        self.faults.inject(fault, times, match)

    def chaos(
        self, rate: float, seed: int, kinds: Sequence[Fault], match: str = EVERY_CALL
    ) -> None:
        """Let a seeded random share `rate` of the matching requests suffer one of `kinds`."""
        self.faults.chaos(rate, seed, kinds, match)

    def clear_faults(self) -> None:
        """Plan no further faults."""
        self.faults.clear()

    def start(self) -> None:
        """Listen, on the same port as before, with the data as it was."""
        with self._lifecycle:
            if self._listener is None and not self._closed:
                self._listener = Listener(self)
                threading.Thread(
                    target=self._listener.serve_forever, args=(0.02,), daemon=True
                ).start()

    def stop(self) -> None:
        """Refuse connections and cut those open. On return no write is under way or to come."""
        with self._lifecycle:
            listener, self._listener = self._listener, None
            if listener is not None:
                with self._backend_lock:
                    listener.alive.clear()
                listener.shutdown()
                listener.server_close()
                listener.cut_connections()

    def close(self) -> None:
        """Stop for good."""
        with self._lifecycle:
            self.stop()
            self._closed = True
            self._reserved.close()
            if self._owns_backend:
                self._backend.close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Refuse connections inside the `with` block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def restart(self, seconds: float) -> None:
        """Go away now, and come back in `seconds`."""
        self.stop()
        timer = threading.Timer(seconds, self.start)
        timer.daemon = True
        timer.start()

    def receive(self, request: Request) -> Fault | None:
        """Count a request, and say what it suffers."""
        found = find(request.method, request.path)
        with self._count_lock:
            self.requests[found[0].label if found else request.line] += 1
            self.bytes_received += request.size
        return self.faults.take(request.line)

    def answer(self, listener: Listener, request: Request) -> Reply | None:
        """Do what is asked; None where the server was stopped before it could."""
        if request.method == "GET" and request.path == "/":
            about = {"title": "qdrant - vector search engine", "version": self._version}
            return Reply(200, to_json({**about, "commit": "0" * 40}))
        if request.method == "GET" and request.path in HEALTH:
            return Reply(200, HEALTH[request.path], "text/plain; charset=utf-8")
        key = self._keys.get(request.key or "") if self._keys else Key("manage")
        if key is None:
            missing = "Must provide an API key or an Authorization bearer token"
            reason = missing if request.key is None else "Invalid API key or JWT"
            return Reply(401, reason.encode(), "text/plain; charset=utf-8")
        if key.expired:
            return Reply(403, b"ExpiredSignature", "text/plain; charset=utf-8")
        if request.size > self.max_request_bytes:
            return refusal(
                self.oversize_status,
                f"JSON payload ({request.size} bytes) is larger than allowed "
                f"(limit: {self.max_request_bytes} bytes).",
            )
        found = find(request.method, request.path)
        if found is None:
            return Reply(404, b"", "text/plain")
        route, variables = found
        began = time.perf_counter()
        with self._backend_lock:  # local mode is not thread-safe
            if not listener.alive.is_set():
                return None
            cluster, leader = self.cluster, self._backend
            node: Any = cluster.node(leader, self._settings) if cluster else leader
            call = Call(
                node,
                variables,
                request.query,
                request.body,
                request.method,
                self._settings,
                leader,
                cluster,
                key.readable,
            )
            try:
                key.check(route, variables.get("collection_name"))
                result = route.run(call)
            except ApiError as error:
                return refusal(error.status, str(error), error.headers)
            seconds = time.perf_counter() - began
            return Reply(200, to_json({"result": result, "status": "ok", "time": seconds}))
