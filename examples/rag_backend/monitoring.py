"""What is told about each request: metrics, one line of log, and an id that the caller gets."""

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

from examples.rag_backend.problems import answer_problem

logger = logging.getLogger(__name__)
access_log = logging.getLogger("rag_backend.access")

NEVER_ANSWERED = 499
"""Logged where the caller left before anything was answered (nginx's number for it)."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of one back end, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "rag_requests", "Requests by route and status.", ["route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "rag_request_seconds", "Time of a whole request.", ["route"], buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.stage_seconds = Histogram(
            "rag_stage_seconds", "Time of one stage: search, quote, answer.", ["stage"],
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.under_way = Gauge(
            "rag_requests_under_way", "Requests being worked on.", registry=self.registry
        )
        self.ready = Gauge(
            "rag_ready", "1 where the collection can be searched, else 0.", registry=self.registry
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[list[float]]:
        """Time a stage; the list holds its seconds afterwards."""
        began, took = time.perf_counter(), list[float]()
        try:
            yield took
        finally:
            took.append(time.perf_counter() - began)
            self.stage_seconds.labels(name).observe(took[0])


class Monitoring:
    """ASGI middleware: every request is counted, timed, logged, and ended where it takes too long.

    The log has neither the question, nor headers, nor the query of the URL. What nobody foresaw is
    logged with its traceback and answered as a problem.

    Args:
        most_seconds: after these a request is cut off, whatever it waits for: also a caller who
            sends or reads too slowly.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, most_seconds: float) -> None:
        self._app = app
        self._metrics = metrics
        self._most_seconds = most_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = uuid.uuid4().hex[:16]
        began, status = time.perf_counter(), NEVER_ANSWERED

        async def telling(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            with self._metrics.under_way.track_inprogress():
                async with asyncio.timeout(self._most_seconds):
                    await self._app(scope, receive, telling)
        except Exception as error:
            started = status != NEVER_ANSWERED
            if not isinstance(error, TimeoutError):
                logger.exception("Request %s failed.", request_id)
            if started:
                raise
            await answer_problem(error)(scope, receive, telling)
        finally:
            seconds = time.perf_counter() - began
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


class SecurityHeaders:
    """ASGI middleware: what a browser may do with an answer, which is next to nothing."""

    HEADERS = (
        (
            b"content-security-policy",
            b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            b"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
            b"frame-ancestors 'none'",
        ),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
    )

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self.HEADERS]
            await send(message)

        await self._app(scope, receive, adding if scope["type"] == "http" else send)
