"""From `url` or `path` to a client."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from rdr_qdrant.client.api_key import check_no_credentials, key_for
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient

DEFAULT_PATH = "./qdrant_data"
IN_MEMORY = ":memory:"
TIMEOUT_SECONDS = 60

Place = str | os.PathLike[str]


def connect(
    url: str | None = None,
    path: Place | None = None,
    *,
    api_key: SecretStr | str | None = None,
    allow_key_over_http: str | None = None,
    grpc_port: int | None = None,
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
        allow_key_over_http: the one other host that may be sent the key unencrypted; without it
            a key goes over https, or to this machine.
        grpc_port: a server's port for gRPC (6334 where nothing else was set): then points travel
            over it, in fewer bytes than JSON takes.

    Raises:
        UsageError: both `url` and `path`, a `url` that is none or carries a password, or a key
            that would travel unencrypted.
        StoreError: the server does not answer, or the folder cannot be used.
    """
    from qdrant_client import QdrantClient

    from rdr_qdrant.client.error_mapping import translate_client_errors

    url = server_url(url, path)
    if url is None:
        return _embedded(path or DEFAULT_PATH)
    try:
        with _without_key_warning():
            client = QdrantClient(**_server_options(url, api_key, allow_key_over_http, grpc_port))
    except ValueError as error:
        raise _no_url(url, error) from None
    with translate_client_errors(client):
        client.get_collections()
    return client


async def connect_async(
    url: str | None = None,
    path: Place | None = None,
    *,
    api_key: SecretStr | str | None = None,
    allow_key_over_http: str | None = None,
    grpc_port: int | None = None,
) -> AsyncQdrantClient:
    """`connect` for `async` code: an `AsyncQdrantClient`, of a server or embedded.

    Nothing it does runs on the event loop: a server is asked asynchronously, the embedded engine
    in a thread.

    Raises:
        UsageError, StoreError: as `connect`.
    """
    from qdrant_client import AsyncQdrantClient

    from rdr_qdrant.client.error_mapping import translate_client_errors
    from rdr_qdrant.embedded import AsyncEmbeddedQdrant

    url = server_url(url, path)
    if url is None:
        place = path or DEFAULT_PATH
        if str(place) == IN_MEMORY:
            return AsyncQdrantClient(location=IN_MEMORY)
        return await asyncio.to_thread(AsyncEmbeddedQdrant, place)
    try:
        with _without_key_warning():
            client = AsyncQdrantClient(
                **_server_options(url, api_key, allow_key_over_http, grpc_port)
            )
    except ValueError as error:
        raise _no_url(url, error) from None
    with translate_client_errors(client):
        await client.get_collections()
    return client


def connect_two(
    source: str,
    target: str,
    *,
    api_key: SecretStr | str | None = None,
    allow_key_over_http: str | None = None,
) -> tuple[QdrantClient, QdrantClient]:
    """Clients of two different places, each the URL of a server or the path of a folder.

    The source may be a folder that the client's own local mode wrote. The key goes to both.

    Raises:
        UsageError: both are the same place, or the key may not go there.
        StoreError: see `connect`.
    """
    from rdr_qdrant.embedded import is_local_mode
    from rdr_qdrant.embedded.legacy_local import open_local_mode

    if _place(source) == _place(target):
        raise UsageError(f"{source} and {target} are the same place: name two.")
    key: dict[str, Any] = {"api_key": api_key, "allow_key_over_http": allow_key_over_http}
    writer = connect(url=target, **key) if is_url(target) else connect(path=target)
    if is_url(source):
        return connect(url=source, **key), writer
    if is_local_mode(source):
        return open_local_mode(source), writer
    return connect(path=source), writer


def _place(place: str) -> str:
    return place.rstrip("/") if is_url(place) else str(Path(place).resolve())


def is_url(place: str) -> bool:
    """Whether this is the address of a server rather than a folder."""
    return place.startswith(("http://", "https://")) and place not in ("http://", "https://")


def server_url(url: str | None, path: Place | None) -> str | None:
    """The server that is meant by what `connect` is given, or `None` for a folder.

    Raises:
        UsageError: see `connect`.
    """
    if url:
        check_no_credentials(url)
    if url and path:
        raise UsageError(
            f"Both a server ({url}) and a folder ({path}) were given: name one of them."
        )
    if path:
        return None
    url = url or os.environ.get("QDRANT_URL") or None
    if url:
        check_no_credentials(url)
        if not is_url(url):
            raise UsageError(f"{url!r} is no URL of a server. Write it like http://localhost:6333.")
    return url


def _server_options(
    url: str,
    api_key: SecretStr | str | None,
    allow_key_over_http: str | None,
    grpc_port: int | None,
) -> dict[str, Any]:
    try:
        key = key_for(url, api_key, allow_key_over_http)
    except ValueError as error:
        raise _no_url(url, error) from None
    return {
        "url": url,
        "api_key": key.get_secret_value() if key else None,
        "timeout": TIMEOUT_SECONDS,
        "check_compatibility": False,
        **({"prefer_grpc": True, "grpc_port": grpc_port} if grpc_port else {}),
    }


@contextmanager
def _without_key_warning() -> Iterator[None]:
    """The client warns of any key over http; ours go unencrypted only where that was allowed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
        yield


def _no_url(url: str, error: ValueError) -> UsageError:
    return UsageError(f"{url!r} is no URL of a server ({error}).")


def _embedded(path: Place) -> QdrantClient:
    if str(path) == IN_MEMORY:
        from qdrant_client import QdrantClient

        return QdrantClient(IN_MEMORY)
    from rdr_qdrant.embedded import EmbeddedQdrant

    return EmbeddedQdrant(path)
