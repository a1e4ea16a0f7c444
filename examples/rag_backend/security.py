"""API key, rate limit, size and concurrency limits, and security headers."""

from __future__ import annotations

import hmac
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.rag_backend.problem_details import RETRY_SOON
from examples.rag_backend.settings import Settings

_bearer = HTTPBearer(auto_error=False, description="The key of RAG_API_KEY.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key.")


def require_api_key(settings: Settings) -> Callable[..., Awaitable[None]]:
    """Build a dependency that answers 401 unless the request carries the key, if one is set."""
    expected = settings.api_key.get_secret_value().encode() if settings.api_key else None

    async def check(
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
        header: Annotated[str | None, Depends(_header)],
    ) -> None:
        given = bearer.credentials if bearer else header or ""
        if expected is not None and not hmac.compare_digest(given.encode(), expected):
            raise HTTPException(
                401,
                "This back end needs a key: `Authorization: Bearer KEY`, or `X-API-Key: KEY`.",
                {"WWW-Authenticate": "Bearer"},
            )

    return check


def limit_rate(rate: str) -> Callable[[Request], Awaitable[None]]:
    """Build a dependency that answers 429 with `Retry-After` above this rate per address."""
    item = parse(rate)
    limiter = MovingWindowRateLimiter(MemoryStorage())

    async def check(request: Request) -> None:
        address = request.client.host if request.client else ""
        if await limiter.hit(item, address):
            return
        window = await limiter.get_window_stats(item, address)
        seconds = max(1, math.ceil(window.reset_time - time.time()))
        raise HTTPException(
            429,
            f"More than {item} from this address. Try again in {seconds} s.",
            {"Retry-After": str(seconds)},
        )

    return check


class ConcurrencyLimit:
    """A dependency that answers 503 while `max_requests` requests are in progress."""

    def __init__(self, max_requests: int) -> None:
        self.in_progress = 0
        self._max_requests = max_requests

    async def __call__(self) -> AsyncIterator[None]:
        if self.in_progress >= self._max_requests:
            raise HTTPException(
                503, f"{self._max_requests} requests are in progress. Try again soon.", RETRY_SOON
            )
        self.in_progress += 1
        try:
            yield
        finally:
            self.in_progress -= 1


class BodyLimit:
    """ASGI middleware that answers 413 to a body above `max_bytes`, declared or not."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def receive_counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if max(read, declared) > self._max_bytes:
                raise HTTPException(413, f"The body exceeds {self._max_bytes:,} bytes.")
            return message

        length = dict(scope.get("headers", ())).get(b"content-length", b"0")
        declared = int(length) if length.isdigit() else 0
        await self._app(scope, receive_counted if scope["type"] == "http" else receive, send)


class SecurityHeaders:
    """ASGI middleware that restricts what a browser may do with a response."""

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
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self.HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
