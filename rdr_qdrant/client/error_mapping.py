"""The client's many exceptions told as one: what Qdrant said, and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rdr_qdrant.errors import StoreError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient
    from qdrant_client.http.exceptions import UnexpectedResponse


class RequestTooLargeError(StoreError):
    """A request of more bytes than the server takes; fewer points at once may pass."""


class UnindexedFilterError(StoreError):
    """A server in strict mode refuses to filter by a field that has no index of a fitting type."""


@contextmanager
def translate_client_errors(client: QdrantClient | AsyncQdrantClient) -> Iterator[None]:
    """Run calls to Qdrant.

    Raises:
        RequestTooLargeError: it takes no request of that size.
        UnindexedFilterError: strict mode lets nobody filter so.
        StoreError: it did not answer, refused the key, or refused the request.
    """
    from grpc import RpcError
    from qdrant_client.common.client_exceptions import QdrantException
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    try:
        yield
    except ResponseHandlingException as error:
        raise StoreError(
            f"Qdrant at {location_of(client)} does not answer ({error.source}). "
            "Is it running, and is the address right? (docker compose up -d starts one.)"
        ) from error
    except UnexpectedResponse as error:
        refusal = _refusal(client, error)
        _raise_if_unindexed(client, refusal, error)
        kind = RequestTooLargeError if _is_too_large(error) else StoreError
        raise kind(refusal) from error
    except QdrantException as error:  # a 429 that names the time after which to try again
        raise StoreError(
            f"Qdrant at {location_of(client)} takes no more requests for now (429): {error}"
        ) from error
    except ValueError as error:  # what an embedded Qdrant refuses
        raise StoreError(f"Qdrant refused the request: {error}") from error
    except RpcError as error:
        _raise_if_unindexed(client, _details(error), error)
        kind = RequestTooLargeError if "larger than max" in _details(error) else StoreError
        raise kind(
            f"Qdrant at {location_of(client)} failed over gRPC: {_details(error)}"
        ) from error


def _is_too_large(error: UnexpectedResponse) -> bool:
    """413 from a proxy; 400 with these words from Qdrant itself (actix's payload error)."""
    return error.status_code == 413 or (
        error.status_code == 400 and b"larger than allowed" in error.content
    )


def _refusal(client: QdrantClient | AsyncQdrantClient, error: UnexpectedResponse) -> str:
    if error.status_code in (401, 403):
        return (
            f"Qdrant at {location_of(client)} refused the API key ({error.status_code}). "
            "Set QDRANT_API_KEY to a key that it knows."
        )
    try:
        reason = json.loads(error.content)["status"]["error"]
    except (ValueError, KeyError, TypeError):
        reason = error.content.decode("utf-8", "replace")[:300] or error.reason_phrase
    return f"Qdrant at {location_of(client)} refused the request ({error.status_code}): {reason}"


_UNINDEXED = re.compile(r'Index required but not found for "(?:metadata\.)?"?([^"]+)"')
"""Strict mode's words; `metadata` is where ours lie in the payload. Odd names are in quotes."""


def _raise_if_unindexed(
    client: QdrantClient | AsyncQdrantClient, refusal: str, error: Exception
) -> None:
    found = _UNINDEXED.search(refusal)
    if found:
        raise UnindexedFilterError(
            f"Qdrant at {location_of(client)} filters by indexed fields alone (strict mode), and "
            f"{found[1]!r} has no index that serves this filter. Any ingest into the collection "
            f"adds one with --payload-index {found[1]}:TYPE (payload_indexes of "
            "collection_settings): keyword for text, integer, float, bool, datetime or uuid, as "
            "its values are."
        ) from error


def _details(error: Any) -> str:
    details = getattr(error, "details", None)
    return " ".join(str((details() if callable(details) else None) or error).split())


def location_of(client: QdrantClient | AsyncQdrantClient) -> str:
    """Where it is, for people: the address of a server, or the folder."""
    folder = getattr(client, "path", None)
    if folder is not None:
        return f"the folder {folder}" + ("" if folder.exists() else " (which is not there)")
    return str(getattr(getattr(client, "_client", None), "rest_uri", "") or "this Qdrant")
