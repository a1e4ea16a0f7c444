"""From `url` or `path` to a client."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient

DEFAULT_PATH = "./qdrant_data"
IN_MEMORY = ":memory:"
TIMEOUT_SECONDS = 60

Place = str | os.PathLike[str]


def connect(
    url: str | None = None, path: Place | None = None, *, api_key: str | None = None
) -> QdrantClient:
    """A client of a server (`url`) or of an embedded Qdrant in a folder (`path`).

    With neither, the server in the environment variable `QDRANT_URL`, else the folder
    `./qdrant_data`. A folder is an `EmbeddedQdrant`: a `QdrantClient` over Qdrant's own engine in
    this process; one process at a time may have it open, and it is made with its first
    collection. `path=":memory:"` is the client's own local mode, for tests.

    Args:
        url: `http://` or `https://`, with the port where it is not 6333.
        path: a folder.
        api_key: a server's key; by default the environment variable `QDRANT_API_KEY`.

    Raises:
        UsageError: both `url` and `path`, or a `url` that is none.
        StoreError: the server does not answer, or the folder cannot be used.
    """
    from qdrant_client import QdrantClient

    from rdr_qdrant.store.reaching import reaching

    url = _url(url, path)
    if url is None:
        return _embedded(path or DEFAULT_PATH)
    try:
        client = QdrantClient(**_server_options(url, api_key))
    except ValueError as error:
        raise _no_url(url, error) from None
    with reaching(client):
        client.get_collections()
    return client


async def connect_async(
    url: str | None = None, path: Place | None = None, *, api_key: str | None = None
) -> AsyncQdrantClient:
    """`connect` for `async` code: an `AsyncQdrantClient`, of a server or embedded.

    Nothing it does runs on the event loop: a server is asked asynchronously, the embedded engine
    in a thread.

    Raises:
        UsageError, StoreError: as `connect`.
    """
    from qdrant_client import AsyncQdrantClient

    from rdr_qdrant.store.embedded import AsyncEmbeddedQdrant
    from rdr_qdrant.store.reaching import reaching

    url = _url(url, path)
    if url is None:
        place = path or DEFAULT_PATH
        if str(place) == IN_MEMORY:
            return AsyncQdrantClient(location=IN_MEMORY)
        return await asyncio.to_thread(AsyncEmbeddedQdrant, place)
    try:
        client = AsyncQdrantClient(**_server_options(url, api_key))
    except ValueError as error:
        raise _no_url(url, error) from None
    with reaching(client):
        await client.get_collections()
    return client


def connect_two(source: str, target: str) -> tuple[QdrantClient, QdrantClient]:
    """Clients of two different places, each the URL of a server or the path of a folder.

    The source may be a folder that the client's own local mode wrote.

    Raises:
        UsageError: both are the same place.
        StoreError: see `connect`.
    """
    from rdr_qdrant.store.embedded import is_local_mode
    from rdr_qdrant.store.embedded.local_mode import open_local_mode

    if _place(source) == _place(target):
        raise UsageError(f"{source} and {target} are the same place: name two.")
    writer = connect(url=target) if is_url(target) else connect(path=target)
    if is_url(source):
        return connect(url=source), writer
    if is_local_mode(source):
        return open_local_mode(source), writer
    return connect(path=source), writer


def _place(place: str) -> str:
    return place.rstrip("/") if is_url(place) else str(Path(place).resolve())


def is_url(place: str) -> bool:
    """Whether this is the address of a server rather than a folder."""
    return place.startswith(("http://", "https://"))


def _url(url: str | None, path: Place | None) -> str | None:
    """The server that is meant, or `None` for a folder."""
    if url and path:
        raise UsageError(
            f"Both a server ({url}) and a folder ({path}) were given: name one of them."
        )
    if path:
        return None
    url = url or os.environ.get("QDRANT_URL") or None
    if url and not is_url(url):
        raise UsageError(f"{url!r} is no URL of a server. Write it like http://localhost:6333.")
    return url


def _server_options(url: str, api_key: str | None) -> dict[str, Any]:
    return {
        "url": url,
        "api_key": api_key or os.environ.get("QDRANT_API_KEY") or None,
        "timeout": TIMEOUT_SECONDS,
        "check_compatibility": False,
    }


def _no_url(url: str, error: ValueError) -> UsageError:
    return UsageError(f"{url!r} is no URL of a server ({error}).")


def _embedded(path: Place) -> QdrantClient:
    if str(path) == IN_MEMORY:
        from qdrant_client import QdrantClient

        return QdrantClient(IN_MEMORY)
    from rdr_qdrant.store.embedded import EmbeddedQdrant

    return EmbeddedQdrant(path)
