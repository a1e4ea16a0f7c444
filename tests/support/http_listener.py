"""The wire of the test server: connections, requests read, answers sent, faults suffered."""

from __future__ import annotations

import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit

from pydantic_core import to_json

from tests.support.faults import (
    HalfAnswer,
    ResetAfter,
    ResetBefore,
    Restart,
    Slow,
    StallAfter,
    StallBefore,
    Status,
)

if TYPE_CHECKING:
    from tests.support.qdrant_http_server import QdrantHTTPServer


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Build an answer in Qdrant's error shape."""
    body = to_json({"status": {"error": message}, "time": 0.0})
    return Reply(status, body, headers=headers or {})


@dataclass(frozen=True)
class Request:
    """An HTTP request, read whole. `size` is the body's, kept or not; `key` the API key given."""

    method: str
    path: str
    query: Mapping[str, str]
    key: str | None
    size: int
    body: bytes

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


class Listener(ThreadingHTTPServer):
    """One spell of listening, from a start to a stop."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, owner: QdrantHTTPServer) -> None:
        self.owner = owner
        self.alive = threading.Event()
        self.alive.set()
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", owner.port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = reusable_socket()
        self.server_bind()
        self.server_activate()

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's own would look its name up in DNS

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._connections_lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        # Only closes: a shutdown first would send FIN where a reset is wanted.
        with self._connections_lock:
            self._connections.discard(request)
        self.close_request(request)

    def cut_connections(self) -> None:
        with self._connections_lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that left is no news
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    connection: socket.socket

    def _serve(self) -> None:
        listener = cast(Listener, self.server)
        owner = listener.owner
        request = self._read_request(owner.max_request_bytes)
        if request is None:
            return self._hang_up()
        fault = owner.receive(request)
        match fault:
            case Status(code, headers, None):
                return self._send(refusal(code, f"Injected fault: {code}", headers))
            case Status(code, headers, str(body)):
                return self._send(Reply(code, body.encode(), "text/plain", headers))
            case ResetBefore():
                return self._reset()
            case StallBefore(seconds):
                self._wait_for_hang_up(seconds)
                return self._hang_up()
            case Restart(seconds):
                owner.restart(seconds)
                return self._hang_up()
            case Slow(seconds):
                time.sleep(seconds)
        reply = owner.answer(listener, request)
        if reply is None:
            return self._hang_up()
        match fault:
            case ResetAfter():
                return self._reset()
            case StallAfter(seconds):
                self._wait_for_hang_up(seconds)
                return self._hang_up()
            case HalfAnswer():
                self._send(reply, body=reply.body[: len(reply.body) // 2])
                return self._hang_up()
        return self._send(reply)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _read_request(self, limit: int) -> Request | None:
        """Read it whole; None if it ends early. A body over the limit is read but not kept."""
        size = int(self.headers.get("Content-Length", 0))
        body = bytearray()
        left = size
        while left and (part := self.rfile.read(min(left, 1 << 20))):
            left -= len(part)
            if size <= limit:
                body += part
        if left:
            return None
        url = urlsplit(self.path)
        bearer = self.headers.get("Authorization", "")
        return Request(
            method=self.command,
            path=url.path,
            query=dict(parse_qsl(url.query)),
            key=self.headers.get("api-key")
            or (bearer.removeprefix("Bearer ") if bearer.startswith("Bearer ") else None),
            size=size,
            body=bytes(body),
        )

    def _send(self, reply: Reply, body: bytes | None = None) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body if body is None else body)

    def _wait_for_hang_up(self, seconds: float) -> None:
        select.select([self.connection], [], [], seconds)

    def _hang_up(self) -> None:
        self.close_connection = True

    def _reset(self) -> None:
        linger_on_for_0_s = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_on_for_0_s)
        self._hang_up()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def reusable_socket() -> socket.socket:
    """Make a TCP socket that may share its port with the server's other one."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return made
