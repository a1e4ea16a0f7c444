"""A server's client that was used before a fork is refused in the child; the parent goes on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.qdrant_http_server import QdrantHTTPServer

SCRIPT = """
import asyncio, os, sys
from qdrant_client import QdrantClient
from rdr_qdrant import connect, connect_async
from rdr_qdrant.collection import AsyncCollection, Collection
from rdr_qdrant.errors import StoreError

url, kind = sys.argv[1:]
if kind == "async":
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(connect_async(url=url))
    call = lambda: loop.run_until_complete(AsyncCollection(client, "none").info())
else:
    client = connect(url=url) if kind == "connect" else QdrantClient(url, check_compatibility=False)
    call = Collection(client, "none").exists
    assert not call()

child = os.fork()
if child == 0:
    try:
        call()
    except StoreError as error:
        message = str(error)
        assert str(os.getpid()) in message and str(os.getppid()) in message, message
        assert url in message and "Call connect in the process" in message, message
        assert "\\n" not in message
        assert not Collection(connect(url=url), "none").exists()
        os._exit(0)
    os._exit(7)
assert os.waitpid(child, 0)[1] == 0
if kind != "async":
    assert not call()
"""


@pytest.mark.parametrize("kind", ["connect", "own client", "async"])
def test_a_forked_process_is_told_to_connect_again(kind: str) -> None:
    with QdrantHTTPServer() as server:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, server.url, kind],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
