"""The API key: where it comes from, and where it may go."""

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
    """The key in a file, white space around it left out.

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


def key_for(
    url: str, given: SecretStr | str | None, allow_key_over_http: str | None
) -> SecretStr | None:
    """The key to send to this server: the given one, else the environment's, else none.

    Raises:
        UsageError: it holds what no header can, or it would travel in the clear to another host
            than this one, and that host is not `allow_key_over_http`.
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
    allowed = _is_this_machine(host) or host == (allow_key_over_http or "").lower()
    if url.startswith("http://") and not allowed:
        raise UsageError(
            f"The API key would travel unencrypted to {host}, for anyone on the way to read. "
            f"Use https://, or allow it with --allow-key-over-http {host} "
            f"(allow_key_over_http={host!r}) where the network is yours."
        )
    return SecretStr(key)


def check_no_credentials(url: str) -> None:
    """Refuse a URL that carries a user name or password: it is shown in messages.

    Raises:
        UsageError: it does.
    """
    if _CREDENTIALS.match(url):
        raise UsageError(
            "The URL carries a user name or a password, which would show in messages and process "
            f"lists. Leave them out, and put the API key into {KEY_VARIABLE}."
        )


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
