"""Calls to Qdrant that are made again while what stopped them may pass."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from rdr_qdrant.client.error_mapping import translate_client_errors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from tenacity import RetryCallState

T = TypeVar("T")

RETRY_FOR_SECONDS = 600.0
FIRST_WAIT_SECONDS = 0.1
"""The first wait is random, up to this; each further one up to twice the one before."""
LONGEST_WAIT_SECONDS = 30.0


class RetryPolicy:
    """Makes calls, and makes them again where the connection or the server failed for now.

    Again: refused, reset and broken connections, time-outs, 408, 429 and 5xx (gRPC: unavailable,
    deadline exceeded, resource exhausted). At once an error: every other 4xx, a certificate that
    is not trusted. Waits grow exponentially with full jitter; a Retry-After is honoured.

    Every call of ours is idempotent, so that one whose answer was lost may simply be made again.
    Threads may share one.

    Args:
        retry_for: seconds from a call's start after which it is not made again; 0: never again.
        on_retry: called before each wait with what happened and the seconds to wait.
        stop: once set, nothing waits and nothing is made again.
    """

    def __init__(
        self,
        retry_for: float = 0.0,
        on_retry: Callable[[str, float], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.retries = 0
        self._lock = threading.Lock()
        self._retry_for = retry_for
        self._on_retry = on_retry
        self._stop = stop or threading.Event()

    def __call__(self, client: QdrantClient, call: Callable[[], T]) -> T:
        """What the call returns.

        Raises:
            StoreError: it failed for good, or for longer than `retry_for`.
        """
        import tenacity

        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_transient),
            wait=_Wait(),
            stop=tenacity.stop_before_delay(self._retry_for)
            | tenacity.stop_when_event_set(self._stop),
            sleep=tenacity.sleep_using_event(self._stop),
            before_sleep=self._tell,
            reraise=True,
        )
        with translate_client_errors(client):
            return again(call)

    def _tell(self, state: RetryCallState) -> None:
        with self._lock:
            self.retries += 1
        if self._on_retry and state.outcome and state.next_action:
            self._on_retry(_in_short(state.outcome.exception()), state.next_action.sleep)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    import grpc
    import httpx
    from qdrant_client.common.client_exceptions import QdrantException
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, ResponseHandlingException):
        source = error.source
        wrong_address = isinstance(source, httpx.UnsupportedProtocol | httpx.LocalProtocolError)
        return (
            isinstance(source, httpx.TransportError)
            and not wrong_address
            and not _is_certificate_error(source)
        )
    if isinstance(error, UnexpectedResponse):
        status = error.status_code or 0
        return status in (408, 429) or status >= 500
    if isinstance(error, QdrantException):
        return True  # the client's own way to tell a 429 with a Retry-After
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        codes = grpc.StatusCode
        return error.code() in (codes.UNAVAILABLE, codes.DEADLINE_EXCEEDED) or (
            error.code() is codes.RESOURCE_EXHAUSTED
            and "larger than max" not in str(error.details())
        )
    return False


def retry_after_seconds(error: BaseException | None) -> float:
    """Seconds that the server asked to wait (Retry-After, seconds or a date), else 0."""
    from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
    from qdrant_client.http.exceptions import UnexpectedResponse

    value: Any = None
    if isinstance(error, ResourceExhaustedResponse):
        value = error.retry_after_s
    elif isinstance(error, QdrantException):  # the client's complaint of a date, which it ends with
        value = str(error).partition(": ")[2]
    elif isinstance(error, UnexpectedResponse):
        value = error.headers.get("Retry-After")
    if value is None:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        try:
            return max(0.0, parsedate_to_datetime(str(value)).timestamp() - time.time())
        except ValueError:
            return 0.0


class _Wait:
    """Exponential back-off with full jitter, or what the server asked for where that is longer."""

    def __call__(self, state: RetryCallState) -> float:
        import tenacity

        backoff = tenacity.wait_random_exponential(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
        error = state.outcome.exception() if state.outcome else None
        return max(backoff(state), retry_after_seconds(error))


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _in_short(error: BaseException | None) -> str:
    """What happened, in our own words: nothing that the server sent."""
    from qdrant_client.common.client_exceptions import QdrantException
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, ResponseHandlingException):
        return f"no answer ({type(error.source).__name__})"
    if isinstance(error, UnexpectedResponse):
        return f"answer {error.status_code}"
    return "answer 429" if isinstance(error, QdrantException) else "no answer over gRPC"
