"""The uvicorn server: trusted proxies, and limits on connections that send no request."""

from __future__ import annotations

import asyncio
import math
import resource

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from examples.rag_backend.settings import Settings

RESERVED_FILES = 100
"""File descriptors kept free for Qdrant, the encoders and the log."""

WARNING_INTERVAL_SECONDS = 10.0
""""Refusing connections" is logged at most this often."""


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Build uvicorn's configuration.

    By default uvicorn believes an `X-Forwarded-For` from this machine, so that any local client
    chooses the address that the rate limits and the log see. Here it believes `trusted_proxies`.
    """

    class Connection(LimitedConnection):
        head_seconds = settings.head_seconds
        max_connections = min(settings.connections, _spare_files())

    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


class LimitedConnection(H11Protocol):
    """An HTTP connection that is closed if no request arrives in time, or if there are too many.

    uvicorn limits only the time between two requests: a connection that sends nothing, or half the
    head of a request, stays open. `RequestMonitoring` limits the time after the head.

    Attributes:
        head_seconds: time limit for the head of a request to arrive.
        max_connections: maximum number of open connections; further ones are closed.
    """

    head_seconds: float
    max_connections: int

    _deadline: asyncio.TimerHandle | None = None
    _next_warning = -math.inf

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._warn_refused()
            transport.abort()
        else:
            self._update_deadline()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._update_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def _warn_refused(self) -> None:
        now = self.loop.time()
        if now >= self._next_warning:
            type(self)._next_warning = now + WARNING_INTERVAL_SECONDS
            self.logger.warning("Refusing connections: %d are open.", self.max_connections)

    def _update_deadline(self) -> None:
        """Start the deadline if a head is incomplete; cancel it if the head is complete."""
        if self.conn.their_state is not h11.IDLE:
            self._cancel_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _spare_files() -> int:
    """Return how many connections the process may open; without a free file none is accepted."""
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft_limit - RESERVED_FILES)
