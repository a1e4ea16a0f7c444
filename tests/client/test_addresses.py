"""Ports that a URL does not name, programs that are no Qdrant, TLS."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from rdr_qdrant import connect, connect_async
from rdr_qdrant.client import location_of, translate_client_errors
from rdr_qdrant.errors import StoreError
from tests.support.faults import Status
from tests.support.qdrant_http_server import QdrantHTTPServer

NOBODY = "127.9.9.9"
MODULE = sys.modules["rdr_qdrant.client.connect"]  # the package has a function of this name


@pytest.fixture(autouse=True)
def _no_server_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Port 6333 may have one, for the other tests."""
    monkeypatch.setattr(MODULE, "QDRANT_PORT", 9)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (f"http://{NOBODY}", f"http://{NOBODY}:9"),
        (f"http://{NOBODY}/", f"http://{NOBODY}:9"),
        (f"https://{NOBODY}/qdrant", f"https://{NOBODY}/qdrant"),
        (f"https://{NOBODY}/qdrant/", f"https://{NOBODY}/qdrant"),
        (f"http://{NOBODY}:8080/qdrant", f"http://{NOBODY}:8080/qdrant"),
        ("http://[::1]:9/a/b", "http://[::1]:9/a/b"),
    ],
)
async def test_a_url_with_a_path_and_no_port_means_the_schemes_port(url: str, asked: str) -> None:
    with pytest.raises(StoreError) as caught:
        connect(url)
    assert f"Qdrant at {asked} does not answer" in str(caught.value).replace(f"{asked}/", asked)
    with pytest.raises(StoreError) as caught:
        await connect_async(url)
    assert f"Qdrant at {asked} does not answer" in str(caught.value).replace(f"{asked}/", asked)


async def test_what_answers_on_the_schemes_own_port_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[object] = []

    def answers(address: object, timeout: float) -> SimpleNamespace:
        tried.append(address)
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(MODULE, "socket", SimpleNamespace(create_connection=answers))
    expected = rf"port 9,.*something does on 443.*give https://{NOBODY}:443\."
    with pytest.raises(StoreError, match=expected) as caught:
        connect(f"https://{NOBODY}")
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match=r"something does on 80"):
        await connect_async(f"http://{NOBODY}")
    assert tried == [(NOBODY, 443), (NOBODY, 80)]
    for url in (f"https://{NOBODY}:9", f"https://{NOBODY}/qdrant"):
        with pytest.raises(StoreError, match=r"starts one\.\)$"):
            connect(url)
    assert len(tried) == 2


@pytest.mark.parametrize("status", [200, 404])
def test_a_page_of_another_program_is_no_qdrant(status: int) -> None:
    with QdrantHTTPServer() as server:
        server.inject(Status(status, body="<html>\n<body>It works!"), times=2)
        with pytest.raises(StoreError, match="No Qdrant answers|not as Qdrant does") as caught:
            connect(server.url)
    message = str(caught.value)
    assert "\n" not in message
    assert "<" not in message
    assert "port" in message


def test_a_port_without_tls_is_named() -> None:
    with (
        QdrantHTTPServer() as server,
        pytest.raises(StoreError, match="speaks no TLS.*is its URL http://") as caught,
    ):
        connect(server.url.replace("http://", "https://"))
    assert "\n" not in str(caught.value)


def test_a_score_that_is_null_is_explained() -> None:
    """Recorded from a server that other software had sent 1e39."""
    body = '{"result":{"points":[{"id":9,"version":5,"score":null,"payload":{}}]},"status":"ok"}'
    with QdrantHTTPServer() as server:
        client = connect(server.url)
        server.inject(Status(200, body=body), match=".*query")
        with (
            pytest.raises(StoreError, match="vector with NaN or infinity.*--recreate") as caught,
            translate_client_errors(client, "wiki"),
        ):
            client.query_points("wiki", [1.0])
        assert "\n" not in str(caught.value)
        assert location_of(client) == server.url
