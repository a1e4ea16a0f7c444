"""Runs a back end on a local port inside a block."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI


@dataclass
class Served:
    """A back end running in a thread.

    Attributes:
        url: its URL.
        http: a client for it.
        server: the uvicorn server.
        thread: the thread it runs in.
    """

    url: str
    http: httpx.Client
    server: uvicorn.Server
    thread: threading.Thread

    def health(self) -> dict[str, Any]:
        return dict(self.http.get("/healthz").json())

    def until_ready(self) -> None:
        until(lambda: self.health()["status"] == "ready")

    def search(self, question: str, **asked: Any) -> httpx.Response:
        return self.http.post("/search", json={"question": question, **asked})

    def ask(self, question: str, **asked: Any) -> list[tuple[str, dict[str, Any]]]:
        """Ask and return the events of the response."""
        with self.http.stream("POST", "/ask", json={"question": question, **asked}) as response:
            assert response.status_code == 200, response.read()
            assert response.headers["content-type"].startswith("text/event-stream")
            return list(events(response))


def events(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "the condition never held"
        time.sleep(0.05)


@contextmanager
def serving(app: FastAPI, *, ready: bool = True) -> Iterator[Served]:
    config = uvicorn.Config(
        app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=20
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started or not thread.is_alive())
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=60) as http:
        served = Served(url, http, server, thread)
        try:
            if ready:
                served.until_ready()
            yield served
        finally:
            server.should_exit = True
            thread.join(30)
