"""The exceptions of qdrant-client, gRPC and the embedded engine as `StoreError`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client.capabilities import location_of, server_address
from rdr_qdrant.client.fork_check import refuse_in_forked_process
from rdr_qdrant.client.proxy import proxy_for
from rdr_qdrant.client.remedies import (
    describe_part_down,
    is_partly_down,
    missing_right,
    remedy_for,
)
from rdr_qdrant.errors import StoreError

if TYPE_CHECKING:
    from grpc import RpcError
    from pydantic import ValidationError
    from qdrant_client import AsyncQdrantClient, QdrantClient
    from qdrant_client.http.exceptions import UnexpectedResponse


TOO_LARGE = re.compile("larger than (?:allowed|max)|message length too large")
"""In Qdrant's own 400 (actix's payload error), and in those of gRPC's client and server (tonic)."""

_UNINDEXED = re.compile(r'Index required but not found for "(?:metadata\.)?"?([^"]+)"')
"""The message of strict mode; our fields are below `metadata`, odd names in quotes."""

_NO_COLLECTION = re.compile(r"Collection `.*` doesn't exist!|Collection .* not found")
"""The messages of a server and of the embedded clients."""

_NO_POINT = "No point with id"
_LIMIT = re.compile(r'Limit exceeded \d+ > (\d+) for "([^"]+)"')
_CONDITIONS = re.compile(r"Filter condition limit reached \(\d+ > (\d+)\)")
OVER_CAPACITY = "larger than rate limiter capacity"
"""In the refusal of a request that no waiting helps: only a smaller one passes."""

RATE_EXCEEDED = "rate limit exceeded"

GRPC_TRANSPORT_FAILURES = frozenset(
    ("CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN")
)
"""Codes of calls that may succeed over REST; the others are the server's refusals."""


class RequestTooLargeError(StoreError):
    """A request larger than the server accepts; fewer points at once may pass."""


class LimitExceededError(StoreError):
    """A number in the request exceeds a limit of strict mode.

    Attributes:
        name: of the limit, in the server's words.
        limit: its value.
    """

    def __init__(self, message: str, name: str, limit: int) -> None:
        super().__init__(message, name, limit)
        self.name = name
        self.limit = limit

    def __str__(self) -> str:
        return str(self.args[0])


class CollectionNotFoundError(StoreError):
    """Qdrant has no collection, and no alias, of the name in a request."""


class PointNotFoundError(StoreError):
    """A change of a point that the collection does not hold, such as one deleted meanwhile."""


class UnindexedFilterError(StoreError):
    """A server in strict mode refuses to filter by a field without an index of a fitting type.

    Attributes:
        field: the metadata key, or another payload field.
    """

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message, field)
        self.field = field

    def __str__(self) -> str:
        return str(self.args[0])


class AccessDeniedError(StoreError):
    """The server knows the API key, but the key may not do this, or has expired."""


class RateLimitedError(StoreError):
    """The server takes no more requests for now; the same one passes a little later."""


class NoAnswerError(StoreError):
    """Nothing answers at the address."""


class PartlyDownError(StoreError):
    """A part of a cluster does not answer, so that some shards cannot be read or written."""


@contextmanager
def translate_embedded_errors() -> Iterator[None]:
    """Open or use an embedded Qdrant. Raises StoreError for its errors, in their words."""
    from rdr_qdrant.embedded import EmbeddedQdrantError, LegacyFolderError

    try:
        yield
    except LegacyFolderError as error:
        raise StoreError(
            f"The folder {error.folder} was written by the Qdrant client's local mode. Move it "
            f"over with: rdr-qdrant copy --from {error.folder} --to NEW_FOLDER -c NAME, or name "
            "another folder. Nothing was changed."
        ) from error
    except EmbeddedQdrantError as error:
        raise StoreError(str(error)) from error


@contextmanager
def translate_client_errors(
    client: QdrantClient | AsyncQdrantClient, collection_name: str | None = None
) -> Iterator[None]:
    """Run calls to Qdrant; each error is one line, and names the remedy where one is known.

    Args:
        client: of the calls.
        collection_name: the collection that they are about.

    Raises:
        StoreError: Qdrant does not answer or refuses, as one of the classes above where callers may
            act on it; or the client was used before this process was forked.
    """
    from grpc import RpcError
    from qdrant_client.common.client_exceptions import QdrantException
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    refuse_in_forked_process(client)
    place = f"Qdrant at {location_of(client)}"
    if collection_name is not None:
        place = f"collection {collection_name!r} of {place}"
    try:
        with translate_embedded_errors():
            yield
    except ResponseHandlingException as error:
        raise _no_answer_error(client, error.source) from error
    except UnexpectedResponse as error:
        reason = _reason_of(error)
        if reason is None:
            raise _foreign_answer(client, error) from error
        raise _refusal(client, place, str(error.status_code or 0), reason) from error
    except QdrantException as error:  # a 429 with a Retry-After
        raise RateLimitedError(
            f"{_capitalized(place)} takes no more requests for now (429): "
            f"{_sentence(_one_line(str(error)))}{remedy_for(str(error))}"
        ) from error
    except json.JSONDecodeError as error:
        raise _not_qdrant(location_of(client), _through_proxy(client), "no JSON") from error
    except ValueError as error:  # a request that an embedded Qdrant rejects
        message = f"Qdrant refused the request: {_sentence(str(error))}{remedy_for(str(error))}"
        raise (_known_refusal(message) or StoreError(message)) from error
    except KeyError as error:  # of a Qdrant in this process: a point that it does not have
        if server_address(client) is not None:
            raise
        missing = str(error.args[0]).removeprefix(f"{_NO_POINT} ")
        reason = f"{_NO_POINT} {missing}."
        raise PointNotFoundError(
            f"{_capitalized(place)} refused the request: {reason}{remedy_for(reason)}"
        ) from error
    except RpcError as error:
        raise _grpc_error(client, place, error) from error


def _through_proxy(client: QdrantClient | AsyncQdrantClient) -> str:
    address = server_address(client)
    proxy = None if address is None else proxy_for(address)
    if proxy is None:
        return ""
    no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    return f" through the proxy {proxy}, which NO_PROXY={no_proxy or ''} does not exclude"


def _no_answer_error(client: QdrantClient | AsyncQdrantClient, source: Exception) -> StoreError:
    """The error for a call that got no answer, or one that the client cannot read."""
    from pydantic import ValidationError

    location, via, reason = location_of(client), _through_proxy(client), _one_line(str(source))
    if isinstance(source, ValidationError):
        return _unreadable_answer(location, via, source)
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return StoreError(
            f"The certificate of {location} is not trusted{via} ({reason}). For one of your own, "
            "set SSL_CERT_FILE to the file of the authority that issued it."
        )
    if "WRONG_VERSION_NUMBER" in reason or "record layer failure" in reason:
        return StoreError(
            f"What answers at {location}{via} speaks no TLS ({reason}): is its URL http://, or the "
            "port another one?"
        )
    return NoAnswerError(
        f"Qdrant at {location} does not answer{via} ({reason}). Is it running, and is the address "
        "right? (docker compose up -d starts one.)"
    )


def _unreadable_answer(location: str, via: str, error: ValidationError) -> StoreError:
    first = error.errors(include_url=False)[0]
    nowhere = any(part in ("score", "vector") for part in first["loc"])
    if first["input"] is None and nowhere:
        return StoreError(
            f"Qdrant at {location} holds a vector with NaN or infinity, written by other software, "
            "so that this answer has null in place of a number. Load the collection anew: "
            "rdr-qdrant ingest with --recreate, or --swap-alias where searches must not stop."
        )
    return _not_qdrant(location, via, first["msg"])


def _not_qdrant(location: str, via: str, reason: str) -> StoreError:
    return StoreError(
        f"{location} answers{via}, but not as Qdrant does ({reason}). Is the address right, with "
        "its port and path? A Qdrant far newer than the installed qdrant-client may need a newer "
        "one."
    )


def _reason_of(error: UnexpectedResponse) -> str | None:
    """Qdrant's reason for a refusal, in one line; `None` for an answer that is not Qdrant's."""
    text = error.content.decode("utf-8", "replace")
    try:
        return _one_line(str(json.loads(text)["status"]["error"]))
    except (ValueError, KeyError, TypeError):
        pass
    is_page = not text.strip() or text.lstrip().startswith("<")
    return _one_line(text)[:300] if error.status_code in (401, 403) and not is_page else None


def _foreign_answer(
    client: QdrantClient | AsyncQdrantClient, error: UnexpectedResponse
) -> StoreError:
    """The error for a page that no Qdrant sent: of a proxy, a gateway or another program."""
    location, via, status = location_of(client), _through_proxy(client), error.status_code or 0
    if status == 413:
        return RequestTooLargeError(
            f"A proxy before Qdrant at {location} takes no request of that size{via} (413). Send "
            "fewer passages at a time (--batch-size), or raise its limit (nginx: "
            "client_max_body_size)."
        )
    if status in (408, 429):
        return StoreError(
            f"A proxy before Qdrant at {location} takes no more requests for now{via} ({status} "
            f"{error.reason_phrase}). Try again later, or raise its limit."
        )
    if status >= 500:
        return StoreError(
            f"Qdrant at {location} does not answer{via}: a proxy before it says {status} "
            f"({error.reason_phrase}). Is Qdrant running behind it?"
        )
    if 300 <= status < 400:
        target = error.headers.get("location", "another address")
        return StoreError(
            f"{location} redirects to {_one_line(target)}{via} ({status}): give that address."
        )
    if status in (401, 403):
        return StoreError(
            f"What answers at {location}{via} asks for another login ({status}), and is not "
            "Qdrant: is a proxy before it that needs one? Name an address that reaches Qdrant."
        )
    return StoreError(
        f"No Qdrant answers at {location}{via}: what answers there ({status} "
        f"{error.reason_phrase}) is another program. Check the address, its port (Qdrant's is "
        "6333) and its path."
    )


def _refusal(
    client: QdrantClient | AsyncQdrantClient, place: str, code: str, reason: str
) -> StoreError:
    """The error for a refusal over REST or gRPC.

    Args:
        client: that was refused.
        place: the collection and server, for the message.
        code: the status.
        reason: the server's words, in one line.
    """
    location = location_of(client)
    if code in ("401", "UNAUTHENTICATED"):
        if "Must provide" in reason:
            return StoreError(
                f"Qdrant at {location} needs an API key ({code}). Set QDRANT_API_KEY to one that "
                "it knows."
            )
        return StoreError(
            f"Qdrant at {location} refused the API key ({code}). Set QDRANT_API_KEY to a key that "
            "it knows."
        )
    if code in ("403", "PERMISSION_DENIED"):
        return AccessDeniedError(
            f"The API key does not allow this in {place} ({code}: "
            f"{reason.removeprefix('Forbidden: ')}): {missing_right(reason)}."
        )
    if is_partly_down(reason):
        return PartlyDownError(f"{_capitalized(place)} {describe_part_down(reason)}.")
    if found := _UNINDEXED.search(reason):
        return UnindexedFilterError(
            f"{_capitalized(place)} filters by indexed fields only (strict mode), and "
            f"{found[1]!r} has no index that serves this filter. Any ingest into the collection "
            f"adds one with --payload-index {found[1]}:TYPE (payload_indexes of "
            "collection_settings): keyword for text, integer, float, bool, datetime or uuid, as "
            "its values are.",
            found[1],
        )
    message = (
        f"{_capitalized(place)} refused the request{_through_proxy(client)} ({code}): "
        f"{_sentence(reason)}{remedy_for(reason)}"
    )
    if known := _known_refusal(message):
        return known
    kind = RequestTooLargeError if code == "413" or TOO_LARGE.search(reason) else StoreError
    return kind(message)


def _grpc_error(
    client: QdrantClient | AsyncQdrantClient, place: str, error: RpcError
) -> StoreError:
    code = getattr(error, "code", lambda: None)()
    reason = _grpc_details(error)
    if code is None or code.name in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN"):
        trust = (
            " For a certificate of your own, set GRPC_DEFAULT_SSL_ROOTS_FILE_PATH."
            if "CERTIFICATE_VERIFY_FAILED" in reason
            else ""
        )
        return NoAnswerError(
            f"Qdrant at {location_of(client)} failed over gRPC{_through_proxy(client)}: "
            f"{_sentence(reason)} Is it running, and is its gRPC port right (--grpc-port; Qdrant "
            f"itself uses 6334)?{trust}"
        )
    return _refusal(client, place, code.name, reason)


def _known_refusal(message: str) -> StoreError | None:
    """The error of its own kind for a refusal that callers act on, by the server's words in it."""
    if _NO_COLLECTION.search(message):
        return CollectionNotFoundError(message)
    if _NO_POINT in message:
        return PointNotFoundError(message)
    if OVER_CAPACITY in message:
        return RequestTooLargeError(message)
    if RATE_EXCEEDED in message:
        return RateLimitedError(message)
    if found := _LIMIT.search(message):
        return LimitExceededError(message, found[2], int(found[1]))
    if found := _CONDITIONS.search(message):
        return LimitExceededError(message, "filter conditions", int(found[1]))
    return None


def is_grpc_transport_failure(error: RpcError) -> bool:
    """True unless a Qdrant refused the request."""
    code = getattr(error, "code", lambda: None)()
    return code is None or code.name in GRPC_TRANSPORT_FAILURES


def describe_grpc_error(error: Exception) -> str:
    """The code and the words of a failed gRPC call, in one line."""
    code = getattr(error, "code", lambda: None)()
    return f"{code.name}: {_grpc_details(error)}" if code else _grpc_details(error)


def _grpc_details(error: Any) -> str:
    details = getattr(error, "details", None)
    return _one_line(str((details() if callable(details) else None) or error))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]
