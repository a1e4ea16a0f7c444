"""The API key: its sources, and the hosts that it may be sent to."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

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
            unencrypted to a host that is neither this machine nor `allow_key_over_http`.
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
    host = urlsplit(url).hostname or ""
    allowed = is_loopback(host) or host == (allow_key_over_http or "").lower()
    if url.startswith("http://") and not allowed:
        raise UsageError(
            f"The API key would travel unencrypted to {host}, for anyone on the way to read. "
            f"Use https://, or allow it with --allow-key-over-http {host} "
            f"(allow_key_over_http={host!r}) where the network is yours."
        )
    return SecretStr(key)


def refuse_credentials_in(url: str) -> None:
    """Raise UsageError for a URL with a user name or password: URLs are shown in messages."""
    if _CREDENTIALS.match(url):
        raise UsageError(
            "The URL carries a user name or a password, which would show in messages and process "
            f"lists. Leave them out, and put the API key into {KEY_VARIABLE}."
        )


def is_loopback(host: str) -> bool:
    """True if `host` names this machine: localhost or a loopback address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
