"""Clients of a server or of an embedded folder."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from rdr_qdrant.client.api_key import refuse_credentials_in, resolve_api_key
from rdr_qdrant.client.grpc_port import QDRANT_GRPC_PORT, QDRANT_PORT
from rdr_qdrant.client.proxy import client_options, proxy_for
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient

    from rdr_qdrant.client.error_mapping import NoAnswerError
    from rdr_qdrant.errors import StoreError

DEFAULT_PATH = "./qdrant_data"
IN_MEMORY = ":memory:"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
TIMEOUT_SECONDS = 60
SECONDS_TO_TRY_A_PORT = 3.0

FolderPath = str | os.PathLike[str]
T = TypeVar("T")


def connect(
    url: str | None = None,
    path: FolderPath | None = None,
    *,
    api_key: SecretStr | str | None = None,
    allow_key_over_http: str | None = None,
    grpc_port: int | None = None,
) -> QdrantClient:
    """Connect to a server (`url`) or open an embedded Qdrant in a folder (`path`).

    With neither, the server in the environment variable `QDRANT_URL`, else the folder
    `./qdrant_data`. For a folder the client is an `EmbeddedQdrant`: a `QdrantClient` over Qdrant's
    own engine in this process. One process at a time may have the folder open; it is created with
    its first collection. `path=":memory:"` is qdrant-client's own local mode, for tests.

    Args:
        url: `http://` or `https://`, with the port where it is not 6333. With a path
            (`https://host/qdrant`, behind a proxy) the port is that of the scheme, 443 or 80.
        path: a folder.
        api_key: a server's key; by default the environment variable `QDRANT_API_KEY`.
        allow_key_over_http: the one other host that the key may be sent to unencrypted; by
            default it is sent over https or to this machine only.
        grpc_port: a server's gRPC port. Loads send points over gRPC, in fewer bytes than as JSON;
            by default they try 6334, where the port for REST is 6333.

    Raises:
        UsageError: both `url` and `path`, a `url` that is invalid or has a password, a query or a
            fragment, or a key that would be sent unencrypted.
        StoreError: the server does not answer, or the folder cannot be used.
    """
    from qdrant_client import QdrantClient

    from rdr_qdrant.client.error_mapping import NoAnswerError, translate_client_errors

    url = server_url(url, path)
    if url is None:
        return _open_folder(_folder_of(path))
    client = _new_client(QdrantClient, url, api_key, allow_key_over_http, grpc_port)
    try:
        with translate_client_errors(client):
            client.get_collections()
    except NoAnswerError as error:
        raise _with_port_hint(url, error) from error.__cause__
    return client


async def connect_async(
    url: str | None = None,
    path: FolderPath | None = None,
    *,
    api_key: SecretStr | str | None = None,
    allow_key_over_http: str | None = None,
    grpc_port: int | None = None,
) -> AsyncQdrantClient:
    """`connect` for `async` code: an `AsyncQdrantClient`, of a server or embedded.

    Nothing blocks the event loop: the embedded engine runs in a thread.

    Raises:
        UsageError, StoreError: as `connect`.
    """
    from qdrant_client import AsyncQdrantClient

    from rdr_qdrant.client.error_mapping import (
        NoAnswerError,
        translate_client_errors,
        translate_embedded_errors,
    )
    from rdr_qdrant.embedded import AsyncEmbeddedQdrant

    url = server_url(url, path)
    if url is None:
        folder = _folder_of(path)
        if str(folder) == IN_MEMORY:
            return AsyncQdrantClient(location=IN_MEMORY)
        with translate_embedded_errors():
            return await asyncio.to_thread(AsyncEmbeddedQdrant, folder)
    client = _new_client(AsyncQdrantClient, url, api_key, allow_key_over_http, grpc_port)
    try:
        with translate_client_errors(client):
            await client.get_collections()
    except NoAnswerError as error:
        raise await asyncio.to_thread(_with_port_hint, url, error) from error.__cause__
    return client


def connect_source_and_target(
    source: str,
    target: str,
    *,
    api_key: SecretStr | str | None = None,
    allow_key_over_http: str | None = None,
) -> tuple[QdrantClient, QdrantClient]:
    """Connect to two different locations, each the URL of a server or the path of a folder.

    The source may be a folder written by qdrant-client's own local mode. The key is sent to both.

    Raises:
        UsageError: both are the same location, a URL has a password, a query or a fragment, or
            the key may not be sent there.
        StoreError: see `connect`.
    """
    from rdr_qdrant.client.error_mapping import translate_embedded_errors
    from rdr_qdrant.embedded import is_local_mode, open_local_mode

    for location in filter(_SCHEME.match, (source, target)):
        refuse_credentials_in(location)
    if _normalized(source) == _normalized(target):
        raise UsageError(f"{source} and {target} are the same location: name two.")
    key: dict[str, Any] = {"api_key": api_key, "allow_key_over_http": allow_key_over_http}
    writer = connect(url=target, **key) if is_url(target) else connect(path=target)
    if is_url(source):
        return connect(url=source, **key), writer
    if is_local_mode(source):
        with translate_embedded_errors():
            return open_local_mode(source), writer
    return connect(path=source), writer


def _normalized(location: str) -> str:
    return location.rstrip("/") if is_url(location) else str(Path(location).resolve())


def is_url(location: str) -> bool:
    """True for the URL of a server, False for a folder."""
    return location.startswith(("http://", "https://")) and location not in ("http://", "https://")


def server_url(url: str | None, path: FolderPath | None) -> str | None:
    """Return the URL of the server that `connect` would use, or `None` for a folder.

    Raises:
        UsageError: see `connect`.
    """
    if url:
        refuse_credentials_in(url)
    if url and path:
        raise UsageError(
            f"Both a server ({url}) and a folder ({path}) were given: name one of them."
        )
    if path is not None:
        return None
    url = url or os.environ.get("QDRANT_URL") or None
    if url:
        refuse_credentials_in(url)
        if not is_url(url):
            raise UsageError(f"{url!r} is no URL of a server. Write it as http://localhost:6333.")
    return url


def _new_client(
    kind: Callable[..., T],
    url: str,
    api_key: SecretStr | str | None,
    allow_key_over_http: str | None,
    grpc_port: int | None,
) -> T:
    try:
        key = resolve_api_key(url, api_key, allow_key_over_http)
        network = client_options(url, proxy_for(url))
        with warnings.catch_warnings():  # `resolve_api_key` has allowed a key over http
            warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
            return kind(
                url=url,
                port=_port_of(url),
                api_key=key.get_secret_value() if key else None,
                timeout=TIMEOUT_SECONDS,
                check_compatibility=False,
                grpc_port=grpc_port or QDRANT_GRPC_PORT,
                **network,
            )
    except ValueError as error:
        raise UsageError(f"{url!r} is no URL of a server ({error}).") from None


def _port_of(url: str) -> int | None:
    """The port where a URL names none: Qdrant's, or with a path that of the scheme (`None`)."""
    return None if urlsplit(url).path.strip("/") else QDRANT_PORT


def _with_port_hint(url: str, error: NoAnswerError) -> StoreError:
    """The error, with a hint where something answers on the scheme's own port."""
    import httpx

    parts = urlsplit(url)
    port = {"http": 80, "https": 443}[parts.scheme]
    source = getattr(error.__cause__, "source", None)
    if parts.port or _port_of(url) is None or proxy_for(url) or not parts.hostname:
        return error
    if not isinstance(source, httpx.ConnectError | httpx.ConnectTimeout):
        return error
    try:
        socket.create_connection((parts.hostname, port), SECONDS_TO_TRY_A_PORT).close()
    except OSError:
        return error
    return type(error)(
        f"{error} Nothing answers on port {QDRANT_PORT}, which a URL without one means, but "
        f"something does on {port}: if Qdrant is behind it, give {parts.scheme}://"
        f"{parts.netloc}:{port}."
    )


def _folder_of(path: FolderPath | None) -> FolderPath:
    """The folder, with `~` expanded.

    Raises:
        UsageError: it is empty, or the address of a server.
    """
    text = os.fspath(DEFAULT_PATH if path is None else path)
    if _SCHEME.match(text):
        refuse_credentials_in(text)
        raise UsageError(f"{text!r} is an address, not a folder: pass it as url=.")
    if not text:
        raise UsageError("The path is empty: name a folder.")
    return os.path.expanduser(text)  # noqa: PTH111 (":memory:" and relative paths stay as they are)


def _open_folder(path: FolderPath) -> QdrantClient:
    if str(path) == IN_MEMORY:
        from qdrant_client import QdrantClient

        return QdrantClient(IN_MEMORY)
    from rdr_qdrant.client.error_mapping import translate_embedded_errors
    from rdr_qdrant.embedded import EmbeddedQdrant

    with translate_embedded_errors():
        return EmbeddedQdrant(path)
