"""The key and the passages go through no proxy that was not meant."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rdr_qdrant import connect, connect_async
from rdr_qdrant.client import connect_source_and_target
from rdr_qdrant.client.api_key import resolve_api_key
from rdr_qdrant.client.proxy import client_options, is_loopback, proxy_for
from rdr_qdrant.errors import StoreError, UsageError
from tests.support.qdrant_http_server import QdrantHTTPServer

KEY = "s3cret-key-0f-test"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "grpc_proxy")


class RecordingProxy(socketserver.ThreadingTCPServer):
    """Records the head of every request, and answers 502."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        self.received: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(socketserver.BaseRequestHandler):
    server: RecordingProxy

    def handle(self) -> None:
        self.server.received.append(self.request.recv(65536))
        self.request.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def _recording() -> Iterator[RecordingProxy]:
    with RecordingProxy() as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


@pytest.fixture
def proxy() -> Iterator[RecordingProxy]:
    with _recording() as server:
        yield server


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"])
@pytest.mark.parametrize("no_proxy", ["", "example.org", "[::1", "::1/128,%zz,http://[x"])
async def test_this_machine_is_reached_without_a_proxy(
    proxy: RecordingProxy, monkeypatch: pytest.MonkeyPatch, variable: str, no_proxy: str
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with QdrantHTTPServer(api_key=KEY) as server:
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            client = connect(url=url, api_key=KEY)
            client.get_collections()
            client.close()
            aclient = await connect_async(url=url, api_key=KEY)
            await aclient.get_collections()
            await aclient.close()
        with QdrantHTTPServer(api_key=KEY) as other:
            for client in connect_source_and_target(server.url, other.url, api_key=KEY):
                client.get_collections()
                client.close()
    assert proxy.received == []


async def test_a_key_over_http_through_a_proxy_is_refused(
    proxy: RecordingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http://", "http://user:pass@"))
    for allowed in (None, "qdrant.test", "elsewhere"):
        options = {
            "url": "http://qdrant.test:6333",
            "api_key": KEY,
            "allow_key_over_http": allowed,
        }
        with pytest.raises(UsageError, match="unencrypted through the proxy") as error:
            connect(**options)
        with pytest.raises(UsageError):
            await connect_async(**options)
        assert "HTTP_PROXY" in str(error.value)
        assert "127.0.0.1" in str(error.value)
        for secret in (KEY, "user", "pass@"):
            assert secret not in str(error.value)
    assert proxy.received == []


def test_a_key_is_sent_through_the_proxy_that_was_allowed(
    proxy: RecordingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    with pytest.raises(StoreError, match="through the proxy") as error:
        connect(url="http://qdrant.test:6333", api_key=KEY, allow_key_over_http="127.0.0.1")
    assert KEY not in str(error.value)
    assert KEY.encode() in proxy.received[0]


@pytest.mark.parametrize(
    ("no_proxy", "bypassed"),
    [
        ("qdrant.test", True),
        (".test", True),
        ("a.org, qdrant.test", True),
        ("*", True),
        ("a.org,*", True),
        ("dant.test", False),
        ("", False),
        ("[::1", False),
    ],
)
def test_no_proxy_decides_as_everywhere(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, bypassed: bool
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    url = "http://qdrant.test:6333"
    assert (proxy_for(url) is None) == bypassed
    if bypassed:
        assert resolve_api_key(url, KEY, "qdrant.test") is not None
        assert "proxy" not in client_options(url, proxy_for(url))
    else:
        with pytest.raises(UsageError, match="proxy"):
            resolve_api_key(url, KEY, "qdrant.test")


def test_networks_in_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,fd00::/8")
    assert proxy_for("http://10.1.2.3:6333") is None
    assert proxy_for("http://[fd00::1]:6333") is None
    assert proxy_for("http://11.1.2.3:6333") is not None


async def test_https_goes_through_a_tunnel_that_hides_the_key(
    proxy: RecordingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(StoreError, match=r"through the proxy http://127\.0\.0\.1.*HTTPS_PROXY"):
        connect(url="https://qdrant.test:6333", api_key=KEY)
    with pytest.raises(StoreError, match="through the proxy"):
        await connect_async(url="https://qdrant.test:6333", api_key=KEY)
    assert len(proxy.received) == 2
    for head in proxy.received:
        assert head.startswith(b"CONNECT qdrant.test:6333")
        assert KEY.encode() not in head


def test_passages_without_a_key_go_through_the_proxy_of_the_environment(
    proxy: RecordingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    with pytest.raises(StoreError, match=r"502"):
        connect(url="http://qdrant.test:6333")
    assert proxy.received[0].startswith(b"GET http://qdrant.test:6333/collections")


@pytest.mark.parametrize(
    ("proxy_url", "named"),
    [
        ("http://127.0.0.1:9", r"through the proxy http://127\.0\.0\.1:9 \(HTTP_PROXY\)"),
        ("127.0.0.1:9", r"through the proxy http://127\.0\.0\.1:9"),
        ("socks5://me:pw@127.0.0.1:9", r"socks5://127\.0\.0\.1:9 \(HTTP_PROXY\)"),
        ("ftp://127.0.0.1:9", r"ftp://127\.0\.0\.1:9 \(HTTP_PROXY\)"),
        ("http://[bad", r"HTTP_PROXY"),
        ("http://h:port", r"HTTP_PROXY"),
    ],
)
async def test_a_proxy_that_does_not_work_is_named(
    monkeypatch: pytest.MonkeyPatch, proxy_url: str, named: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy_url)
    monkeypatch.setenv("NO_PROXY", "[::1,elsewhere.test")
    with pytest.raises((StoreError, UsageError), match=named) as error:
        connect(url="http://qdrant.test:6333")
    assert "NO_PROXY" in str(error.value)
    assert "pw@" not in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises((StoreError, UsageError), match=named):
        await connect_async(url="http://qdrant.test:6333")


def test_grpc_uses_the_same_proxy_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC has rules of its own: it takes HTTPS_PROXY for http, and tunnels in the clear."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    for url in ("http://localhost:6333", "https://localhost:6333", "http://qdrant.test:6333"):
        options = client_options(url, proxy_for(url))["grpc_options"]
        assert options["grpc.enable_http_proxy"] == 0
        assert "grpc.http_proxy" not in options
    url = "https://qdrant.test:6333"
    options = client_options(url, proxy_for(url))["grpc_options"]
    assert options["grpc.enable_http_proxy"] == 1
    assert options["grpc.http_proxy"] == "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("", False),
    ],
)
def test_hosts_that_are_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected
