"""Metrics, one log line and an id for each request."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.rag_backend.problem_details import response_for_error

logger = logging.getLogger(__name__)
access_log = logging.getLogger("rag_backend.access")

CLIENT_CLOSED_REQUEST = 499
"""Logged if the client left before a response was started (nginx's status for it)."""

_BUCKET_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "rag_requests", "Requests by route and status.", ["route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "rag_request_seconds", "Duration of a request.", ["route"], buckets=_BUCKET_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.stage_seconds = Histogram(
            "rag_stage_seconds", "Duration of a stage: search, quote, answer.", ["stage"],
            buckets=_BUCKET_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.in_progress = Gauge(
            "rag_requests_under_way", "Requests in progress.", registry=self.registry
        )
        self.ready = Gauge(
            "rag_ready", "1 if the collection can be searched, else 0.", registry=self.registry
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[list[float]]:
        """Time a stage; afterwards the list holds its duration in seconds."""
        started, elapsed = time.perf_counter(), list[float]()
        try:
            yield elapsed
        finally:
            elapsed.append(time.perf_counter() - started)
            self.stage_seconds.labels(name).observe(elapsed[0])


class RequestMonitoring:
    """ASGI middleware that counts, times, logs and time-limits every request.

    The log holds neither the question nor headers nor the URL's query. An unexpected error is
    logged with its traceback and answered as a problem.

    Args:
        max_seconds: a request is cancelled after this time, even one of a client that sends or
            reads too slowly.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, max_seconds: float) -> None:
        self._app = app
        self._metrics = metrics
        self._max_seconds = max_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = uuid.uuid4().hex[:16]
        started, status = time.perf_counter(), CLIENT_CLOSED_REQUEST

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            with self._metrics.in_progress.track_inprogress():
                async with asyncio.timeout(self._max_seconds):
                    await self._app(scope, receive, send_with_id)
        except Exception as error:
            if not isinstance(error, TimeoutError):
                logger.exception("Request %s failed.", request_id)
            if status != CLIENT_CLOSED_REQUEST:  # the response has been started
                raise
            await response_for_error(error)(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", None) or "other"
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            access_log.info(
                json.dumps(
                    {
                        "id": request_id,
                        "method": scope["method"],
                        "path": scope["path"][:200],
                        "status": status,
                        "seconds": round(seconds, 4),
                        "address": (scope.get("client") or ("",))[0],
                    }
                )
            )
        return None
