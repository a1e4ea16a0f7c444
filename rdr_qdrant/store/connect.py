"""From `url` or `path` to a client."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rdr_qdrant.errors import StoreError, UsageError

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

DEFAULT_PATH = "./qdrant_data"
TIMEOUT_SECONDS = 60


def connect(
    url: str | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    api_key: str | None = None,
) -> QdrantClient:
    """A client of a server (`url`) or of an embedded Qdrant in a folder (`path`).

    With neither, the server in the environment variable `QDRANT_URL`, else the folder
    `./qdrant_data`. A server's key is `api_key`, else `QDRANT_API_KEY`. `path=":memory:"` keeps
    everything in memory, for tests. A folder may be open in one process at a time.

    Raises:
        UsageError: both `url` and `path`, or a `url` that is none.
        StoreError: the server does not answer, or the folder cannot be used.
    """
    if url and path:
        raise UsageError(
            f"Both a server ({url}) and a folder ({path}) were given: name one of them."
        )
    if not path:
        url = url or os.environ.get("QDRANT_URL") or None
    if url:
        return _server(url, api_key or os.environ.get("QDRANT_API_KEY") or None)
    return _embedded(path or DEFAULT_PATH)


def _server(url: str, api_key: str | None) -> QdrantClient:
    from qdrant_client import QdrantClient

    from rdr_qdrant.store.reaching import reaching

    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no URL of a server. Write it like http://localhost:6333.")
    try:
        client = QdrantClient(
            url=url, api_key=api_key, timeout=TIMEOUT_SECONDS, check_compatibility=False
        )
    except ValueError as error:
        raise UsageError(f"{url!r} is no URL of a server ({error}).") from None
    with reaching(client):
        client.get_collections()
    return client


def _embedded(path: str | os.PathLike[str]) -> QdrantClient:
    from qdrant_client import QdrantClient

    if str(path) == ":memory:":
        return QdrantClient(":memory:")
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file, not a folder for an embedded Qdrant. Name a folder.")
    try:
        return QdrantClient(path=str(folder))
    except RuntimeError:
        raise StoreError(
            f"{folder} is open in another process; one at a time may use it. "
            "Wait for it, or run a Qdrant server for several."
        ) from None
    except OSError as error:
        raise StoreError(f"{folder} cannot be used: {error.strerror or error}.") from None
