"""The exceptions of qdrant-client, gRPC and the embedded engine as `StoreError`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client.capabilities import location_of, server_address
from rdr_qdrant.client.proxy import proxy_for
from rdr_qdrant.errors import StoreError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient
    from qdrant_client.http.exceptions import UnexpectedResponse


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


class UnindexedFilterError(StoreError):
    """A server in strict mode refuses to filter by a field without an index of a fitting type."""


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
def translate_client_errors(client: QdrantClient | AsyncQdrantClient) -> Iterator[None]:
    """Run calls to Qdrant.

    Raises:
        RequestTooLargeError: the server accepts no request of that size.
        UnindexedFilterError: strict mode refuses the filter.
        CollectionNotFoundError: the collection does not exist.
        LimitExceededError: strict mode refuses a number in the request.
        StoreError: it did not answer, refused the key, or refused the request.
    """
    from grpc import RpcError
    from qdrant_client.common.client_exceptions import QdrantException
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    try:
        with translate_embedded_errors():
            yield
    except ResponseHandlingException as error:
        raise StoreError(
            f"Qdrant at {location_of(client)} does not answer{_through_proxy(client)} "
            f"({error.source}). Is it running, and is the address right? "
            "(docker compose up -d starts one.)"
        ) from error
    except UnexpectedResponse as error:
        message = _refusal_message(client, error)
        _raise_if_unindexed(client, message, error)
        _raise_if_known(message, error)
        kind = RequestTooLargeError if _is_too_large(error) else StoreError
        raise kind(message) from error
    except QdrantException as error:  # a 429 with a Retry-After
        raise StoreError(
            f"Qdrant at {location_of(client)} takes no more requests for now (429): {error}"
        ) from error
    except ValueError as error:  # a request that an embedded Qdrant rejects
        _raise_if_known(f"Qdrant refused the request: {error}", error)
        raise StoreError(f"Qdrant refused the request: {error}") from error
    except RpcError as error:
        details = _grpc_details(error)
        _raise_if_unindexed(client, details, error)
        _raise_if_known(
            f"Qdrant at {location_of(client)} refused the request over gRPC: {details}", error
        )
        kind = RequestTooLargeError if "larger than max" in details else StoreError
        raise kind(
            f"Qdrant at {location_of(client)} failed over gRPC{_through_proxy(client)}: {details}"
        ) from error


def _through_proxy(client: QdrantClient | AsyncQdrantClient) -> str:
    address = server_address(client)
    proxy = None if address is None else proxy_for(address)
    if proxy is None:
        return ""
    no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    return f" through the proxy {proxy}, which NO_PROXY={no_proxy or ''} does not exclude"


def _is_too_large(error: UnexpectedResponse) -> bool:
    """413 from a proxy; 400 with these words from Qdrant itself (actix's payload error)."""
    return error.status_code == 413 or (
        error.status_code == 400 and b"larger than allowed" in error.content
    )


def _refusal_message(client: QdrantClient | AsyncQdrantClient, error: UnexpectedResponse) -> str:
    if error.status_code in (401, 403):
        return (
            f"Qdrant at {location_of(client)} refused the API key ({error.status_code}). "
            "Set QDRANT_API_KEY to a key that it knows."
        )
    try:
        reason = json.loads(error.content)["status"]["error"]
    except (ValueError, KeyError, TypeError):
        reason = error.content.decode("utf-8", "replace")[:300] or error.reason_phrase
    via = _through_proxy(client)
    return (
        f"Qdrant at {location_of(client)} refused the request{via} ({error.status_code}): {reason}"
    )


_UNINDEXED = re.compile(r'Index required but not found for "(?:metadata\.)?"?([^"]+)"')
"""The message of strict mode; our fields are below `metadata`, odd names in quotes."""


def _raise_if_unindexed(
    client: QdrantClient | AsyncQdrantClient, message: str, error: Exception
) -> None:
    found = _UNINDEXED.search(message)
    if found:
        raise UnindexedFilterError(
            f"Qdrant at {location_of(client)} filters by indexed fields only (strict mode), and "
            f"{found[1]!r} has no index that serves this filter. Any ingest into the collection "
            f"adds one with --payload-index {found[1]}:TYPE (payload_indexes of "
            "collection_settings): keyword for text, integer, float, bool, datetime or uuid, as "
            "its values are."
        ) from error


_NO_COLLECTION = re.compile(r"Collection `.*` doesn't exist!|Collection .* not found")
"""The messages of a server and of the embedded clients."""


_LIMIT = re.compile(r'Limit exceeded \d+ > (\d+) for "([^"]+)"')
_CONDITIONS = re.compile(r"Filter condition limit reached \(\d+ > (\d+)\)")
OVER_CAPACITY = "larger than rate limiter capacity"
"""In the refusal of a request that no waiting helps: only a smaller one passes."""


def _raise_if_known(message: str, error: Exception) -> None:
    if _NO_COLLECTION.search(message):
        raise CollectionNotFoundError(message) from error
    if OVER_CAPACITY in message:
        raise RequestTooLargeError(message) from error
    if found := _LIMIT.search(message):
        raise LimitExceededError(message, found[2], int(found[1])) from error
    if found := _CONDITIONS.search(message):
        raise LimitExceededError(message, "filter conditions", int(found[1])) from error


def _grpc_details(error: Any) -> str:
    details = getattr(error, "details", None)
    return " ".join(str((details() if callable(details) else None) or error).split())
