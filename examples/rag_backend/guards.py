"""Who may ask, how often, and how many at once."""

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

from examples.rag_backend.problems import TRY_AGAIN
from examples.rag_backend.settings import Settings

_bearer = HTTPBearer(auto_error=False, description="The key of RAG_API_KEY.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key.")


def requires_key(settings: Settings) -> Callable[..., Awaitable[None]]:
    """A dependency: 401 unless the caller presents the key of the settings, where there is one."""
    expected = settings.api_key.get_secret_value().encode() if settings.api_key else None

    async def check(
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
        header: Annotated[str | None, Depends(_header)],
    ) -> None:
        given = bearer.credentials if bearer else header or ""
        if expected is not None and not hmac.compare_digest(given.encode(), expected):
            raise HTTPException(
                401,
                "This back end asks for a key: `Authorization: Bearer KEY`, or `X-API-Key: KEY`.",
                {"WWW-Authenticate": "Bearer"},
            )

    return check


def limits_rate(rate: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency: 429 with `Retry-After` where one address asks more often."""
    item = parse(rate)
    limiter = MovingWindowRateLimiter(MemoryStorage())

    async def check(request: Request) -> None:
        address = request.client.host if request.client else ""
        if await limiter.hit(item, address):
            return
        window = await limiter.get_window_stats(item, address)
        wait = max(1, math.ceil(window.reset_time - time.time()))
        raise HTTPException(
            429,
            f"More than {item} from this address. Try again in {wait} s.",
            {"Retry-After": str(wait)},
        )

    return check


class BodyLimit:
    """ASGI middleware: 413 for a body of more than `most` bytes, declared or not."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def counting() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if max(read, declared) > self._most:
                raise HTTPException(413, f"The body has more than {self._most:,} bytes.")
            return message

        length = dict(scope.get("headers", ())).get(b"content-length", b"0")
        declared = int(length) if length.isdigit() else 0
        await self._app(scope, counting if scope["type"] == "http" else receive, send)


class Admission:
    """A dependency: 503 where `most` requests are being worked on already."""

    def __init__(self, most: int) -> None:
        self.under_way = 0
        self._most = most

    async def __call__(self) -> AsyncIterator[None]:
        if self.under_way >= self._most:
            raise HTTPException(
                503, f"{self._most} requests are being worked on. Try again soon.", TRY_AGAIN
            )
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1
