"""Client addresses behind proxies, and connections that send no request."""

from __future__ import annotations

import json
import logging
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from examples.rag_backend.app import create_app
from examples.rag_backend.security import _client_network
from examples.rag_backend.server import RESERVED_FILES
from tests.rag_backend.conftest import settings
from tests.rag_backend.serving import Served, serving, until
from tests.rag_backend.test_ask import ScriptedChatModel

QUESTION = {"question": "Which river passes through ten countries?"}
HALF_REQUESTS = {
    "nothing": b"",
    "half a line": b"GET /livez",
    "half a head": b"POST /search HTTP/1.1\r\nHost: x\r\nContent-Type: ",
}


@contextmanager
def serving_without_qdrant(tmp_path: Path, **changed: Any) -> Iterator[Served]:
    app = create_app(settings(qdrant_path=tmp_path / "none", **changed))
    with serving(app, ready=False) as served:
        yield served


def logged_addresses(caplog: pytest.LogCaptureFixture) -> set[str]:
    lines = [r.message for r in caplog.records if r.name == "rag_backend.access"]
    return {json.loads(line)["address"] for line in lines}


def connect(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(served.url).port or 0), timeout=30)


def test_x_forwarded_for_is_not_believed_by_default(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="rag_backend.access")
    with serving_without_qdrant(
        tmp_path, search_rate="3/hour", ask_rate="3/hour", api_key="right"
    ) as served:
        for path in ("/search", "/ask", "/metrics", "/healthz", "/about"):
            statuses = []
            for number in range(6):
                headers = {
                    "X-Forwarded-For": f"10.0.0.{number}",
                    "X-Real-IP": f"10.0.0.{number}",
                    "Forwarded": f"for=10.0.0.{number}",
                    "X-API-Key": f"guess {number}",
                }
                method = "POST" if path in ("/search", "/ask") else "GET"
                response = served.http.request(method, path, json=QUESTION, headers=headers)
                statuses.append(response.status_code)
            refused = {"/healthz": 503, "/about": 200}.get(path, 401)
            assert statuses == [refused] * 3 + [429] * 3
    assert logged_addresses(caplog) == {"127.0.0.1"}


def test_a_trusted_proxy_names_the_client(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="rag_backend.access")
    trusted = {"trusted_proxies": "127.0.0.0/8", "search_rate": "2/hour"}
    with serving_without_qdrant(tmp_path, **trusted) as served:

        def statuses(forwarded: list[str]) -> list[int]:
            headers = [{"X-Forwarded-For": value} for value in forwarded]
            posts = [served.http.post("/search", json=QUESTION, headers=h) for h in headers]
            return [response.status_code for response in posts]

        assert statuses([f"10.0.0.{number}" for number in range(4)]) == [503] * 4
        # what the client sends itself stands before what the proxy appends
        assert statuses([f"10.0.0.{number}, 10.9.9.9" for number in range(3)]) == [503, 503, 429]
    assert "10.9.9.9" in logged_addresses(caplog)


@pytest.mark.parametrize("trusted", ["*", "proxy.example", "10.0.0.1,", "10.0.0.1/8"])
def test_trusted_proxies_are_addresses_or_networks(trusted: str) -> None:
    with pytest.raises(ValidationError, match="name addresses or networks"):
        settings(trusted_proxies=trusted)


def test_trusted_proxies_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_TRUSTED_PROXIES", "10.0.0.5, 2001:db8::/32")
    assert settings().trusted_proxies == ("10.0.0.5/32", "2001:db8::/32")


@pytest.mark.parametrize(
    ("host", "counted_as"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_an_ipv6_network_counts_as_one_client(host: str, counted_as: str) -> None:
    assert _client_network(host) == counted_as


@pytest.mark.parametrize(
    ("sent", "request_before"), [*((half, False) for half in HALF_REQUESTS.values()), (b"GE", True)]
)
def test_a_connection_without_a_whole_head_is_closed(
    tmp_path: Path, sent: bytes, request_before: bool
) -> None:
    with serving_without_qdrant(tmp_path, head_seconds=1) as served, connect(served) as client:
        if request_before:
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        client.sendall(sent)
        try:
            while client.recv(4096):
                pass
        except ConnectionResetError:
            pass


def test_a_head_that_arrives_in_pieces_is_answered(tmp_path: Path) -> None:
    with serving_without_qdrant(tmp_path) as served, connect(served) as client:
        for piece in (b"GET /livez HT", b"TP/1.1\r\nHost", b": x\r\n", b"\r\n"):
            client.sendall(piece)
        assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_an_answer_may_take_longer_than_a_head(own_folder: Path) -> None:
    model = ScriptedChatModel(pieces=["word "] * 30, pause=0.1)
    app = create_app(settings(qdrant_path=own_folder, head_seconds=2), chat_model=model)
    with serving(app) as served:
        assert served.ask(QUESTION["question"])[-1][0] == "done"


def test_half_open_connections_do_not_stop_the_server(tmp_path: Path) -> None:
    with serving_without_qdrant(tmp_path, connections=20, head_seconds=1) as served:
        half_open = [connect(served) for _ in range(60)]
        try:
            for number, client in enumerate(half_open):
                client.send(list(HALF_REQUESTS.values())[number % 3])
            until(lambda: _answers(served))
        finally:
            for client in half_open:
                client.close()


def test_connections_leave_file_descriptors_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (RESERVED_FILES + 7, -1))
    with serving_without_qdrant(tmp_path, connections=500) as served:
        assert served.server.config.http_protocol_class.max_connections == 7


def _answers(served: Served) -> bool:
    with connect(served) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        try:
            return client.recv(4096).startswith(b"HTTP/1.1 200")
        except ConnectionResetError:
            return False
