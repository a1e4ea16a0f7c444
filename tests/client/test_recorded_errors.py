"""Every error that a real server gave is one line to the user, and names the remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import UnexpectedResponse

from rdr_qdrant.client import (
    AccessDeniedError,
    CollectionNotFoundError,
    LimitExceededError,
    PartlyDownError,
    PointNotFoundError,
    RateLimitedError,
    RequestTooLargeError,
    UnindexedFilterError,
    translate_client_errors,
)
from rdr_qdrant.errors import StoreError

RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "qdrant-1.19.0"

DOWN = (
    "Service internal error: 1 of 1 read operations failed:\n  Service internal error: Tonic "
    "status error: code: 'The service is currently unavailable', message: \"tcp connect error\", "
    'source: tonic::transport::Error(Transport, ConnectError(ConnectError("tcp connect error", '
    '127.0.0.1:6655, Os { code: 111, kind: ConnectionRefused, message: "Connection refused" })))'
)
NOT_WRITTEN = DOWN.replace(
    "1 of 1 read operations failed:\n ", "2 out of 6 shards failed to apply operation. First error:"
)

MESSAGES = [
    (401, "Must provide an API key or an Authorization bearer token", "needs an API key"),
    (401, "Invalid API key or JWT", "refused the API key"),
    (403, "ExpiredSignature", "it has expired: set QDRANT_API_KEY"),
    (403, "Forbidden: Global manage access is required", "Global manage.*may only read"),
    (403, "Forbidden: Global access is required", "for single collections"),
    (403, "Forbidden: Write access to collection a is required", "only read this collection"),
    (403, "Forbidden: Access to collection a is required", "for other collections"),
    (404, "Not found: Collection `c` doesn't exist!", "rdr-qdrant info lists all"),
    (404, "Not found: No point with id 999 found", "run the same command again"),
    (409, "Wrong input: Collection `c` already exists!", "run the same command again"),
    (
        400,
        "Wrong input: Can't create collection with name live. Alias with the same name already "
        "exists",
        "--swap-alias",
    ),
    (
        422,
        'Validation error in path parameters: [collection_name: value "x" invalid, must be from 1 '
        "to 255 characters]",
        "at most 255 characters",
    ),
    (400, "Wrong input: Vector dimension error: expected dim: 4, got 2", "the pair that made it"),
    (400, "Wrong input: Not existing vector name error: s", "--vector-name"),
    (400, "Format error in JSON body: expected value at line 1 column 30", "NaN or infinity"),
    (400, "JSON payload (34603021 bytes) is larger than allowed (limit: 1 bytes).", "--batch-size"),
    (400, 'Bad request: Limit exceeded 56 > 50 for "upsert limit". Help: x.', "--batch-size 50"),
    (400, 'Bad request: Limit exceeded 100 > 20 for "limit". Help: x.', "-k 20"),
    (400, 'Bad request: Limit exceeded 100 > 10 for "hnsw_ef". Help: x.', "hnsw_ef up to 10"),
    (400, 'Bad request: Limit exceeded 60 > 5 for "timeout". Help: x.', "up to 5 s"),
    (400, "Bad request: Exact search disabled!. Help: Set exact=false.", "leave --exact"),
    (400, "Bad request: Filter condition limit reached (2 > 1). Help: x.", "fewer conditions"),
    (
        400,
        "Bad request: Collection already has the maximum number of payload indices (1). Help: x.",
        "max_payload_index_count",
    ),
    (
        400,
        'Bad request: Index required but not found for "metadata.q" of one of the following types: '
        "[integer]. Help: Create an index for this key or use a different filter.",
        "--payload-index q:TYPE",
    ),
    (
        400,
        "Wrong input: No range index for `order_by` key: `metadata.n`. Please create one",
        "--payload-index n:TYPE",
    ),
    (
        429,
        "Rate limiting exceeded: Write rate limit exceeded: Operation requires 2 tokens but only "
        "0.0 were available. Retry after 60s",
        "Retry after 60s.*raise the rate limit",
    ),
    (
        429,
        "Rate limiting exceeded: Read rate limit exceeded, request larger than rate limiter "
        "capacity, please try to split your request",
        "--batch-size",
    ),
    (500, DOWN, r"'wiki'.*read as a whole.*127\.0\.0\.1:6655.*no other copy.*replication_factor=2"),
    (500, NOT_WRITTEN, r"'wiki'.*written as a whole.*127\.0\.0\.1:6655.*write_consistency_factor"),
    (
        500,
        "Service internal error: Waiting for consensus operation commit failed. Timeout set at: 5 "
        "seconds",
        "Most nodes",
    ),
    (500, "Service internal error: No space left on device", "Free disk space"),
]
GRPC_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
}
KINDS = {403: AccessDeniedError}
PLAIN = ("Must provide", "Invalid API", "ExpiredSignature")


class _Failed(grpc.RpcError, grpc.Call):
    def __init__(self, code: str, details: str) -> None:
        self._code, self._details = grpc.StatusCode[code], details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


@pytest.fixture(scope="module")
def client() -> Iterator[QdrantClient]:
    client = QdrantClient("http://qdrant:6333", check_compatibility=False)
    yield client
    client.close()


def answered(client: QdrantClient, error: Exception) -> StoreError:
    with pytest.raises(StoreError) as caught, translate_client_errors(client, "wiki"):
        raise error
    assert "\n" not in str(caught.value)
    return caught.value


def over_rest(status: int, reason: object, headers: dict[str, str] | None = None) -> Exception:
    body = reason if isinstance(reason, str) else json.dumps(reason)
    return UnexpectedResponse(status, "Reason", body.encode(), httpx.Headers(headers or {}))


@pytest.mark.parametrize(("status", "reason", "remedy"), MESSAGES)
def test_each_refusal_names_its_remedy(
    client: QdrantClient, status: int, reason: str, remedy: str
) -> None:
    plain = reason.startswith(PLAIN)
    rest = answered(client, over_rest(status, reason if plain else {"status": {"error": reason}}))
    for error in (rest, answered(client, _Failed(GRPC_CODES[status], reason))):
        assert isinstance(error, KINDS.get(status, StoreError))
        assert "qdrant:6333" in str(error)
        assert re.search(remedy, str(error)), str(error)
    if status == 429 and "Retry after" in reason:
        error = answered(client, ResourceExhaustedResponse(reason, "60"))
        assert "Retry after 60s. Try again later" in str(error)


def test_kinds_that_callers_treat_apart(client: QdrantClient) -> None:
    found = {type(answered(client, over_rest(s, {"status": {"error": r}}))) for s, r, _ in MESSAGES}
    assert found == {
        StoreError,
        AccessDeniedError,
        CollectionNotFoundError,
        LimitExceededError,
        PartlyDownError,
        PointNotFoundError,
        RateLimitedError,
        RequestTooLargeError,
        UnindexedFilterError,
    }


@pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the recordings beside the project are not here"
)
@pytest.mark.parametrize("name", ["rest", "cluster", "grpc"])
def test_every_recorded_error_is_one_line(client: QdrantClient, name: str) -> None:
    for line in (RECORDINGS / f"{name}.jsonl").read_text().splitlines():
        exchange: dict[str, Any] = json.loads(line)
        if name == "grpc":
            if exchange["code"] == "OK":
                continue
            error: Exception = _Failed(exchange["code"], exchange["details"])
        elif exchange["status"] == 200:
            continue
        else:
            error = over_rest(exchange["status"], exchange["answer"], exchange.get("headers"))
        assert len(str(answered(client, error))) < 700, exchange["case"]


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (404, "<html>\n<h1>Not Found</h1>", {}, "No Qdrant answers at http://qdrant:6333.*404"),
        (405, "", {}, "No Qdrant answers"),
        (502, "<html>bad gateway", {}, "proxy before it says 502.*running behind it"),
        (308, "", {"location": "https://q/"}, "redirects to https://q/.*give that address"),
        (401, "<html>login", {}, "another login"),
        (429, "<html>slow down", {}, "proxy before Qdrant.*no more requests.*Try again later"),
        (413, "<html>nginx", {}, "client_max_body_size"),
    ],
)
def test_what_no_qdrant_answers(
    client: QdrantClient, status: int, body: str, headers: dict[str, str], expected: str
) -> None:
    message = str(answered(client, over_rest(status, body, headers)))
    assert re.search(expected, message), message
    assert "<" not in message
