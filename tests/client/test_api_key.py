"""The API key: its sources, and the hosts that it is sent to."""

from __future__ import annotations

import logging
import ssl
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from qdrant_client import QdrantClient

from rdr_qdrant import QdrantLoader, RDREmbeddings, RDRRetriever, connect, connect_async
from rdr_qdrant.client import RetryPolicy, connect_source_and_target, read_key_file
from rdr_qdrant.client.api_key import KEY_VARIABLE
from rdr_qdrant.errors import StoreError, UsageError
from tests.support.http_listener import Listener
from tests.support.qdrant_http_server import QdrantHTTPServer

KEY = "s3cret-key-0f-test"
CERTIFICATE = Path(__file__).parents[1] / "support" / "self_signed.pem"


def test_a_key_from_a_file_opens_the_server(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    with QdrantHTTPServer(api_key=KEY) as server:
        connect(url=server.url, api_key=read_key_file(file)).close()


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_key_file_without_a_key(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UsageError, match="Cannot read the API key|must hold the API key"):
        read_key_file(file)


@pytest.mark.parametrize("url", ["http://qdrant:6333", "http://10.0.0.8:6333", "HTTP://x:1"])
async def test_a_key_is_not_sent_unencrypted_to_another_host(url: str) -> None:
    for wrong in (None, "elsewhere"):
        options = {"url": url, "api_key": SecretStr(KEY), "allow_key_over_http": wrong}
        with pytest.raises(UsageError, match="--allow-key-over-http|no URL") as error:
            connect(**options)
        assert KEY not in str(error.value)
        with pytest.raises(UsageError):
            await connect_async(**options)


def test_the_key_is_sent_to_allowed_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    from rdr_qdrant.client.api_key import resolve_api_key

    monkeypatch.setenv("QDRANT_API_KEY", KEY)
    for url, allowed in (
        ("http://qdrant:6333", "qdrant"),
        ("https://qdrant:6333", None),
        ("http://localhost:6333", None),
        ("http://127.0.0.7:1", None),
        ("http://[::1]:6333", None),
    ):
        key = resolve_api_key(url, None, allowed)
        assert key is not None
        assert key.get_secret_value() == KEY
        assert KEY not in repr(key)


@pytest.mark.parametrize("key", ["two words", "käse", "line\nbreak"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(UsageError, match="no HTTP header can carry") as error:
        connect(url="https://localhost:1", api_key=key)
    assert key not in str(error.value)


@pytest.mark.parametrize("url", ["http://me:pass@host:1", "me:pass@host", "https://pass@h"])
def test_a_url_with_a_password_is_refused_without_being_shown(url: str) -> None:
    for options in ({}, {"path": "x"}):
        with pytest.raises(UsageError) as error:
            connect(url=url, **options)
        assert "pass@" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://host/?api_key=hidden",
        "https://host:6333?api_key=hidden",
        "host/?api_key=hidden",
        "HTTP://host/#hidden",
        "http://me:pa#hidden@host",
        "http://host/a;b?hidden",
    ],
)
def test_a_url_with_a_query_or_fragment_is_refused_without_being_shown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(call: Callable[[], object]) -> str:
        with pytest.raises(UsageError, match="carries") as error:
            call()
        return str(error.value)

    messages = [refused(lambda: connect(url=url)), refused(lambda: connect(url=url, path="x"))]
    if "//" in url:
        messages += [
            refused(lambda: connect(path=url)),
            refused(lambda: connect_source_and_target(url, "x")),
            refused(lambda: connect_source_and_target("x", url)),
            refused(lambda: connect_source_and_target(url, url)),
        ]
    monkeypatch.setenv("QDRANT_URL", url)
    messages.append(refused(connect))
    assert "hidden" not in "".join(messages)
    assert KEY_VARIABLE in messages[0]


def test_the_key_is_in_no_repr_log_or_traceback(
    caplog: pytest.LogCaptureFixture, tiny: RDREmbeddings
) -> None:
    caplog.set_level(logging.DEBUG)
    with QdrantHTTPServer(api_key=KEY) as server:
        client = connect(url=server.url, api_key=SecretStr(KEY))
        loader = QdrantLoader(embeddings=tiny, client=client, collection_name="c")
        retriever = RDRRetriever(embeddings=tiny, client=client, collection_name="c")
        shown = [repr(client), str(client), repr(loader), repr(retriever)]
        try:
            connect(url=server.url, api_key=SecretStr(f"not-{KEY}"))
        except StoreError as error:
            shown += ["".join(traceback.format_exception(error)), repr(error)]
        client.close()
    assert KEY not in "".join([*shown, caplog.text])


def test_a_certificate_that_is_not_trusted_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    activate = Listener.server_activate

    def with_tls(self: Listener) -> None:
        activate(self)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    monkeypatch.setattr(Listener, "server_activate", with_tls)

    with QdrantHTTPServer(api_key=KEY) as server:
        url = server.url.replace("http://", "https://").replace("127.0.0.1", "localhost")
        with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED.*SSL_CERT_FILE"):
            connect(url=url, api_key=KEY)

        client = QdrantClient(url=url, api_key=KEY, check_compatibility=False)
        policy, started = RetryPolicy(60), time.monotonic()
        with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
            policy(client, client.get_collections)
        assert policy.retries == 0
        assert time.monotonic() - started < 10
        client.close()
        assert sum(server.requests.values()) == 0
