"""The proxy that requests to a server go through, by the environment variables.

The proxy is chosen here, by the standard library's rules, and passed to the client, so that the
proxy that the API key was checked against is the one that is used, over REST and gRPC alike.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from rdr_qdrant.errors import UsageError

_GRPC_OPTIONS = {"grpc.max_reconnect_backoff_ms": 1000}
"""A server that was restarted is found within a second, by default up to two minutes later."""


@dataclass(frozen=True)
class Proxy:
    """A proxy of the environment.

    Attributes:
        url: its URL, with credentials if it has any: not for messages.
        variable: the environment variable that sets it, or the system's settings.
    """

    url: str
    variable: str

    @property
    def host(self) -> str:
        """The name of its host, in lower case."""
        return _split(self.url).hostname or ""

    def __str__(self) -> str:
        """Its URL without credentials, and the variable."""
        location = _split(self.url).netloc.rpartition("@")[2]
        return f"{_split(self.url).scheme}://{location} ({self.variable})"

    def __repr__(self) -> str:
        return f"Proxy({str(self)!r})"


def proxy_for(url: str) -> Proxy | None:
    """The proxy that applies to a URL; None for this machine and the hosts in NO_PROXY."""
    scheme, host = _split(url).scheme, _split(url).hostname or ""
    if is_loopback(host):
        return None
    proxies = getproxies()
    bypassed = [entry.strip() for entry in proxies.get("no", "").split(",")]
    if "*" in bypassed or proxy_bypass(host) or _listed(host, bypassed):
        return None
    for name in (scheme, "all"):
        if proxies.get(name):
            proxy_url = proxies[name] if "://" in proxies[name] else f"http://{proxies[name]}"
            return Proxy(proxy_url, _variable(name))
    return None


def client_options(url: str, proxy: Proxy | None) -> dict[str, Any]:
    """Arguments of `QdrantClient` that make it use this proxy and no other.

    Raises:
        UsageError: the proxy's URL is invalid, or its kind needs a package that is not installed.
    """
    import httpx

    options: dict[str, Any] = {
        "trust_env": False,
        "grpc_options": {"grpc.enable_http_proxy": 0, **_GRPC_OPTIONS},
    }
    if url.startswith("https://"):
        options["verify"] = httpx.create_ssl_context()  # SSL_CERT_FILE still counts
    if proxy is not None:
        try:
            options["proxy"] = httpx.Proxy(proxy.url)
            httpx.HTTPTransport(proxy=options["proxy"]).close()
        except ImportError:
            raise UsageError(
                f"The proxy {proxy} is a SOCKS proxy, which needs: pip install 'httpx[socks]'. "
                f"Install that, or set NO_PROXY={_split(url).hostname} to go without the proxy."
            ) from None
        except (ValueError, httpx.InvalidURL):
            raise UsageError(
                f"The proxy {proxy} is not a valid URL of a proxy; correct or unset it, or set "
                f"NO_PROXY={_split(url).hostname} to go without it."
            ) from None
        options["grpc_options"] = {
            "grpc.enable_http_proxy": 1,
            "grpc.http_proxy": proxy.url,
            **_GRPC_OPTIONS,
        }
    return options


def is_loopback(host: str) -> bool:
    """True if `host` names this machine: localhost or a loopback address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _listed(host: str, entries: list[str]) -> bool:
    """True if `host` is an address in one of the networks of NO_PROXY ("10.0.0.0/8")."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in entries:
        try:
            if address in ipaddress.ip_network(entry.strip("[]"), strict=False):
                return True
        except ValueError:
            continue
    return False


def _variable(scheme: str) -> str:
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    return next((name for name in names if os.environ.get(name)), "the system's settings")


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises for one that is no number
        return parts
    except ValueError:
        return urlsplit("")
