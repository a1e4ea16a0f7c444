"""The API key: its sources, and the hosts that it may be sent to."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from rdr_qdrant.client.proxy import is_loopback, proxy_for
from rdr_qdrant.errors import UsageError

KEY_VARIABLE = "QDRANT_API_KEY"
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")
_CREDENTIALS = re.compile(r"(\w+://)?[^/?#]*@")


def read_key_file(path: str | os.PathLike[str]) -> SecretStr:
    """Read the key from a file; surrounding white space is dropped.

    Raises:
        UsageError: the file cannot be read or is empty.
    """
    try:
        key = Path(path).read_bytes().decode("utf-8-sig", "replace").strip()
    except OSError as error:
        raise UsageError(f"Cannot read the API key in {path}: {error.strerror}.") from None
    if not key:
        raise UsageError(f"{path} is empty: it must hold the API key.")
    return SecretStr(key)


def resolve_api_key(
    url: str, given: SecretStr | str | None, allow_key_over_http: str | None
) -> SecretStr | None:
    """Return the key for this server: the given one, else the environment's, else none.

    Raises:
        UsageError: it has characters that no HTTP header can carry, or it would be sent
            unencrypted to a host, a proxy included, that is neither this machine nor
            `allow_key_over_http`.
    """
    secret = given if isinstance(given, SecretStr) else SecretStr(given or "")
    key = (secret.get_secret_value() or os.environ.get(KEY_VARIABLE) or "").strip()
    if not key:
        return None
    if not _HEADER_VALUE.fullmatch(key):
        raise UsageError(
            "The API key holds spaces, control characters or letters outside ASCII, which no HTTP "
            f"header can carry. Check {KEY_VARIABLE} or the key's file."
        )
    if url.startswith("http://"):
        _check_unencrypted(url, (allow_key_over_http or "").lower())
    return SecretStr(key)


def refuse_credentials_in(url: str) -> None:
    """Raise UsageError for a URL that may hold a secret, without showing it.

    URLs are shown in messages. A password, a query (`?api_key=...`) and a fragment are refused.
    """
    if _CREDENTIALS.match(url):
        raise UsageError(
            "The URL carries a user name or a password, which would show in messages and process "
            f"lists. Leave them out, and put the API key into {KEY_VARIABLE}."
        )
    if "?" in url or "#" in url:
        raise UsageError(
            "The URL carries a query or a fragment (a part after ? or #), which Qdrant does not "
            "read and which would show in messages and process lists. Leave it out, and put the "
            f"API key into {KEY_VARIABLE}."
        )


def _check_unencrypted(url: str, allowed_host: str) -> None:
    host, proxy = urlsplit(url).hostname or "", proxy_for(url)
    if proxy is not None and proxy.host != allowed_host:
        raise UsageError(
            f"The API key would travel unencrypted through the proxy {proxy}. Use https://, set "
            f"NO_PROXY={host} where the server can be reached without it, or allow it with "
            f"--allow-key-over-http {proxy.host} (allow_key_over_http={proxy.host!r})."
        )
    if proxy is None and host != allowed_host and not is_loopback(host):
        raise UsageError(
            f"The API key would travel unencrypted to {host}, for anyone on the way to read. "
            f"Use https://, or allow it with --allow-key-over-http {host} "
            f"(allow_key_over_http={host!r}) where the network is yours."
        )
