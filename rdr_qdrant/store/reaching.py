"""The client's many exceptions told as one: what Qdrant said, and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rdr_qdrant.errors import StoreError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient
    from qdrant_client.http.exceptions import UnexpectedResponse


@contextmanager
def reaching(client: QdrantClient | AsyncQdrantClient) -> Iterator[None]:
    """Run calls to Qdrant.

    Raises:
        StoreError: it did not answer, refused the key, or refused the request.
    """
    from grpc import RpcError
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    try:
        yield
    except ResponseHandlingException as error:
        raise StoreError(
            f"Qdrant at {_address(client)} does not answer ({error.source}). "
            "Is it running, and is the address right? (docker compose up -d starts one.)"
        ) from error
    except UnexpectedResponse as error:
        raise StoreError(_refusal(client, error)) from error
    except ValueError as error:  # what an embedded Qdrant refuses
        raise StoreError(f"Qdrant refused the request: {error}") from error
    except RpcError as error:
        raise StoreError(f"Qdrant at {_address(client)} failed over gRPC: {error}") from error


def _refusal(client: QdrantClient | AsyncQdrantClient, error: UnexpectedResponse) -> str:
    if error.status_code in (401, 403):
        return (
            f"Qdrant at {_address(client)} refused the API key ({error.status_code}). "
            "Set QDRANT_API_KEY to a key that it knows."
        )
    try:
        reason = json.loads(error.content)["status"]["error"]
    except (ValueError, KeyError, TypeError):
        reason = error.content.decode("utf-8", "replace")[:300] or error.reason_phrase
    return f"Qdrant at {_address(client)} refused the request ({error.status_code}): {reason}"


def _address(client: QdrantClient | AsyncQdrantClient) -> str:
    return str(getattr(getattr(client, "_client", None), "rest_uri", "") or "the given address")
