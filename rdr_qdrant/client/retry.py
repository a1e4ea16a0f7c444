"""Retries of calls to Qdrant that failed for a passing reason."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from rdr_qdrant.client.error_mapping import OVER_CAPACITY, translate_client_errors
from rdr_qdrant.client.remedies import is_partly_down

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient
    from tenacity import RetryCallState

T = TypeVar("T")

RETRY_FOR_SECONDS = 600.0
FIRST_WAIT_SECONDS = 0.1
"""Upper bound of the first random wait; doubled for each further one."""
LONGEST_WAIT_SECONDS = 30.0
SEARCH_WAIT_SECONDS = 8.0
"""Longest time that a search waits for a rate limit."""
LARGEST_STRETCH = 4.0
"""Largest factor of the wait that a rate limit requests."""
PARTLY_DOWN = "a part of the cluster does not answer"
RATE_LIMITED = "rate limit (429)"
"""Reason of a retry after the server said that a rate is reached."""


class RetryPolicy:
    """Runs calls to Qdrant and retries them after transient failures.

    Retried: refused, reset and broken connections, time-outs, 408, 429 and 5xx (gRPC: unavailable,
    deadline exceeded, resource exhausted). Not retried: every other 4xx, an untrusted certificate.
    Waits grow exponentially with full jitter; a Retry-After is honoured. A server may charge a
    request twice and name the wait for one charge: where a call is refused again after it waited as
    long as requested, waits are stretched from then on.

    Every call of this package is idempotent, so that one whose answer was lost may be repeated.
    Threads may share a policy.

    Args:
        retry_for: seconds after which a call is not retried, from its start or, where that is
            later, from the last call of this policy that succeeded; 0: never retried.
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
        self._last_success = 0.0
        self._stretch = 1.0

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
            sleep=tenacity.sleep_using_event(self._stop), **self._tenacity_options()
        )
        with translate_client_errors(client, collection_name):
            result = retrying(call)
        self._last_success = time.monotonic()
        return result

    async def run_async(
        self,
        client: AsyncQdrantClient,
        call: Callable[[], Awaitable[T]],
        collection_name: str | None = None,
    ) -> T:
        """Await `call` and return its result; waits do not block the event loop.

        Raises:
            StoreError: as for a call that is not awaited.
        """
        import tenacity

        retrying = tenacity.AsyncRetrying(**self._tenacity_options())
        with translate_client_errors(client, collection_name):
            result: T = await retrying(call)
        self._last_success = time.monotonic()
        return result

    def is_retried(self, error: BaseException) -> bool:
        """True if a call that failed so is retried, as long as there is time."""
        return is_transient(error)

    def stretched(self, seconds: float, *, longer: bool) -> float:
        """The wait in place of one that a rate limit requests; `longer` if that was too short."""
        with self._lock:
            if longer:
                self._stretch = min(LARGEST_STRETCH, 2 * self._stretch)
            return seconds * self._stretch

    def _tenacity_options(self) -> dict[str, Any]:
        import tenacity

        started = time.monotonic()
        return {
            "retry": tenacity.retry_if_exception(self.is_retried),
            "wait": _BackoffOrRetryAfter(self),
            "stop": lambda state: self._gives_up(started, state.upcoming_sleep),
            "before_sleep": self._count_and_report,
            "reraise": True,
        }

    def _gives_up(self, started: float, wait: float) -> bool:
        since = max(started, self._last_success)
        return self._stop.is_set() or time.monotonic() + wait - since >= self._retry_for

    def _count_and_report(self, state: RetryCallState) -> None:
        with self._lock:
            self.retries += 1
        if self._on_retry and state.outcome and state.next_action:
            self._on_retry(_reason(state.outcome.exception()), state.next_action.sleep)


class SearchRetryPolicy(RetryPolicy):
    """Repeats a call only where Qdrant says when (Retry-After), for `SEARCH_WAIT_SECONDS` at most.

    Everything else fails at once, since somebody waits for the answer.
    """

    def __init__(self) -> None:
        super().__init__(SEARCH_WAIT_SECONDS)

    def is_retried(self, error: BaseException) -> bool:
        """True where Qdrant says when."""
        return is_transient(error) and retry_after_seconds(error) > 0

    def stretched(self, seconds: float, *, longer: bool) -> float:
        """The wait as requested: a search is charged once."""
        return seconds

    def _gives_up(self, started: float, wait: float) -> bool:
        return time.monotonic() + wait - started >= SEARCH_WAIT_SECONDS


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
        if OVER_CAPACITY.encode() in error.content:
            return False
        return status in (408, 429) or status >= 500
    if isinstance(error, QdrantException):
        return True  # a 429 with a Retry-After
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        codes = grpc.StatusCode
        return error.code() in (codes.UNAVAILABLE, codes.DEADLINE_EXCEEDED) or (
            error.code() is codes.RESOURCE_EXHAUSTED
            and not any(one in str(error.details()) for one in ("larger than max", OVER_CAPACITY))
        )
    return False


def retry_after_seconds(error: BaseException | None) -> float:
    """The wait in seconds that the server requests (Retry-After as a number or a date), else 0."""
    import grpc
    from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
    from qdrant_client.http.exceptions import UnexpectedResponse

    value: Any = None
    if isinstance(error, ResourceExhaustedResponse):
        value = error.retry_after_s
    elif isinstance(error, QdrantException):  # ends with a date that the client cannot parse
        value = str(error).partition(": ")[2]
    elif isinstance(error, UnexpectedResponse):
        value = error.headers.get("Retry-After")
    elif isinstance(error, grpc.Call):
        value = dict(error.trailing_metadata() or ()).get("retry-after")
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

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._rate_limited = False

    def __call__(self, state: RetryCallState) -> float:
        import tenacity

        backoff = tenacity.wait_random_exponential(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
        error = state.outcome.exception() if state.outcome else None
        requested = retry_after_seconds(error)
        if requested and _is_rate_limit(error):
            requested = self._policy.stretched(requested, longer=self._rate_limited)
            self._rate_limited = True
        return max(backoff(state), requested)


def _is_rate_limit(error: BaseException | None) -> bool:
    """True for the refusal of a rate limit, which names the wait for the tokens that it lacks."""
    details = getattr(error, "details", None)
    return "tokens but only" in str(details() if callable(details) else error)


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
        if is_partly_down(error.content.decode("utf-8", "replace")):
            return PARTLY_DOWN
        return f"answer {error.status_code}"
    if _is_rate_limit(error):
        return RATE_LIMITED
    if isinstance(error, QdrantException):
        return "answer 429"
    return PARTLY_DOWN if is_partly_down(str(error)) else "no answer over gRPC"
