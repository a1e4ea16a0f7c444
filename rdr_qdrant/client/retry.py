"""Retries of calls to Qdrant that failed for a passing reason."""

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
"""Upper bound of the first random wait; doubled for each further one."""
LONGEST_WAIT_SECONDS = 30.0


class RetryPolicy:
    """Runs calls to Qdrant and retries them after transient failures.

    Retried: refused, reset and broken connections, time-outs, 408, 429 and 5xx (gRPC: unavailable,
    deadline exceeded, resource exhausted). Not retried: every other 4xx, an untrusted certificate.
    Waits grow exponentially with full jitter; a Retry-After header is honoured.

    Every call of this package is idempotent, so that one whose answer was lost may be repeated.
    Threads may share a policy.

    Args:
        retry_for: seconds from a call's start after which it is not retried; 0: never retried.
        on_retry: called before each wait with the reason and the seconds to wait.
        stop: once set, waits end and nothing is retried.

    Attributes:
        retries: the number of retries so far.
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

    def __call__(
        self, client: QdrantClient, call: Callable[[], T], collection_name: str | None = None
    ) -> T:
        """Run `call` and return its result.

        Args:
            client: of the call.
            call: to be made.
            collection_name: the collection that it is about, for messages.

        Raises:
            StoreError: it failed permanently, or for longer than `retry_for`.
        """
        import tenacity

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_transient),
            wait=_BackoffOrRetryAfter(),
            stop=tenacity.stop_before_delay(self._retry_for)
            | tenacity.stop_when_event_set(self._stop),
            sleep=tenacity.sleep_using_event(self._stop),
            before_sleep=self._count_and_report,
            reraise=True,
        )
        with translate_client_errors(client, collection_name):
            return retrying(call)

    def _count_and_report(self, state: RetryCallState) -> None:
        with self._lock:
            self.retries += 1
        if self._on_retry and state.outcome and state.next_action:
            self._on_retry(_reason(state.outcome.exception()), state.next_action.sleep)


def is_transient(error: BaseException) -> bool:
    """True if the same call may succeed a little later."""
    import grpc
    import httpx
    from qdrant_client.common.client_exceptions import QdrantException
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, ResponseHandlingException):
        source = error.source
        invalid_address = isinstance(source, httpx.UnsupportedProtocol | httpx.LocalProtocolError)
        return (
            isinstance(source, httpx.TransportError)
            and not invalid_address
            and not _is_certificate_error(source)
        )
    if isinstance(error, UnexpectedResponse):
        status = error.status_code or 0
        return status in (408, 429) or status >= 500
    if isinstance(error, QdrantException):
        return True  # a 429 with a Retry-After
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        codes = grpc.StatusCode
        return error.code() in (codes.UNAVAILABLE, codes.DEADLINE_EXCEEDED) or (
            error.code() is codes.RESOURCE_EXHAUSTED
            and "larger than max" not in str(error.details())
        )
    return False


def retry_after_seconds(error: BaseException | None) -> float:
    """The wait in seconds that the server requests (Retry-After as a number or a date), else 0."""
    from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
    from qdrant_client.http.exceptions import UnexpectedResponse

    value: Any = None
    if isinstance(error, ResourceExhaustedResponse):
        value = error.retry_after_s
    elif isinstance(error, QdrantException):  # ends with a date that the client cannot parse
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


class _BackoffOrRetryAfter:
    """Exponential backoff with full jitter, or the server's Retry-After where that is longer."""

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


def _reason(error: BaseException | None) -> str:
    """Describe a failure without any text that the server sent."""
    from qdrant_client.common.client_exceptions import QdrantException
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, ResponseHandlingException):
        return f"no answer ({type(error.source).__name__})"
    if isinstance(error, UnexpectedResponse):
        return f"answer {error.status_code}"
    return "answer 429" if isinstance(error, QdrantException) else "no answer over gRPC"
