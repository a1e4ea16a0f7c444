"""A server's client that was used before a fork is refused in the child; the parent goes on."""

from __future__ import annotations

import subprocess
import sys

from tests.support.qdrant_http_server import QdrantHTTPServer

SCRIPT = """
import asyncio, os, sys
from qdrant_client import QdrantClient
from rdr_qdrant import connect, connect_async
from rdr_qdrant.collection import AsyncCollection, Collection
from rdr_qdrant.errors import StoreError

url = sys.argv[1]
loop = asyncio.new_event_loop()
async_client = loop.run_until_complete(connect_async(url=url))
connected, own = connect(url=url), QdrantClient(url, check_compatibility=False)
calls = {
    "connect": Collection(connected, "none").exists,
    "own client": Collection(own, "none").exists,
    "async": lambda: loop.run_until_complete(AsyncCollection(async_client, "none").info()),
}
used = ["connect", "own client"]
assert not any(calls[kind]() for kind in used)

for kind, call in calls.items():
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
    assert os.waitpid(child, 0)[1] == 0, kind
assert not any(calls[kind]() for kind in used)
"""


def test_a_forked_process_is_told_to_connect_again() -> None:
    with QdrantHTTPServer() as server:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, server.url],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
