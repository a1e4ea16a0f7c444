"""A folder that was open when the process forked: children are refused and change nothing."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PRELUDE = """
import asyncio, gc, multiprocessing, os, sys, threading, time
import numpy as np
from qdrant_client import models
from rdr_qdrant.embedded import AsyncEmbeddedQdrant, EmbeddedQdrant, ForkedProcessError

DIM = 32

def points(start, count, worker=0):
    return [models.PointStruct(id=i, vector=[float(i)] * DIM, payload={"i": i, "worker": worker})
            for i in range(start, start + count)]

def refused(call):
    try:
        call()
    except ForkedProcessError as error:
        assert str(os.getpid()) in str(error) and str(os.getppid()) in str(error), error
        assert "\\n" not in str(error)
        return
    os._exit(7)

def fork(body):
    child = os.fork()
    if child == 0:
        body()
        os._exit(0)
    return child

def join(*children):
    for child in children:
        assert os.waitpid(child, 0)[1] == 0, f"a child failed or was killed: {child}"

client = EmbeddedQdrant(sys.argv[1])
client.create_collection("a", models.VectorParams(size=DIM, distance="Dot"))
client.upsert("a", points(0, 100))
"""

CHECK = """
client.close()
with EmbeddedQdrant(sys.argv[1]) as client:
    records, _ = client.scroll("a", limit=100_000, with_vectors=True)
    assert all(r.vector == [float(r.id)] * DIM for r in records), "wrong vectors"
    assert all(r.payload == {"i": r.id, "worker": 0} for r in records), "wrong payload"
    print(len(records))
"""


def _run(folder: Path, body: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(body) + CHECK, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)


def test_every_call_of_a_forked_child_is_refused(tmp_path: Path) -> None:
    body = """
    shared = AsyncEmbeddedQdrant.from_client(client)

    def child():
        vector = [1.0] * DIM
        for call in (
            lambda: client.upsert("a", points(1000, 10, worker=1)),
            lambda: client.upload_points("a", points(1000, 10, worker=1)),
            lambda: client.upload_collection("a", np.ones((3, DIM)), ids=[1, 2, 3]),
            lambda: client.delete("a", [1]),
            lambda: client.set_payload("a", {"x": 1}, points=[1]),
            lambda: client.count("a"),
            lambda: client.retrieve("a", [1]),
            lambda: client.scroll("a"),
            lambda: client.query_points("a", query=vector),
            lambda: client.get_collection("a"),
            lambda: client.get_collections(),
            lambda: client.collection_exists("a"),
            lambda: client.get_aliases(),
            lambda: client.create_collection("b", models.VectorParams(size=2, distance="Dot")),
            lambda: client.delete_collection("a"),
            lambda: client.update_collection("a", metadata={"x": 1}),
            lambda: client.build_index("a"),
            lambda: client.disk_bytes("a"),
            lambda: asyncio.run(shared.count("a")),
            lambda: asyncio.run(shared.build_index("a")),
        ):
            refused(call)

    join(fork(child))
    """
    assert _run(tmp_path, body) == 100


@pytest.mark.parametrize(
    "ending",
    [
        "client.close()",
        "sys.exit(0)",
        "del globals()['client']; gc.collect()",
        "client.__exit__(None, None, None)",
    ],
)
def test_a_child_flushes_and_closes_nothing(tmp_path: Path, ending: str) -> None:
    """The parent writes while children end in every way, and goes on writing afterwards."""
    body = f"""
    def child():
        time.sleep(0.05)
        {ending}

    for start in range(100, 400, 100):
        children = [fork(child), fork(child)]
        client.upsert("a", points(start, 100))
        join(*children)
        client.upsert("a", points(start, 50))
    """
    assert _run(tmp_path, body) == 400


def test_children_forked_by_multiprocessing_are_refused(tmp_path: Path) -> None:
    body = """
    def write(worker):
        refused(lambda: client.upsert("a", points(1000 * worker, 500, worker)))
        return worker

    context = multiprocessing.get_context("fork")
    with context.Pool(3) as pool:
        working = pool.map_async(write, range(1, 9))
        client.upsert("a", points(100, 400))
        assert working.get(60) == list(range(1, 9))
    """
    assert _run(tmp_path, body) == 500


def test_a_fork_while_other_threads_use_the_client(tmp_path: Path) -> None:
    """A child inherits locks that no thread of its own will ever release: it must not wait."""
    body = """
    stop = threading.Event()

    def work():
        while not stop.is_set():
            client.query_points("a", query=[1.0] * DIM)
            client.upsert("a", points(0, 20))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        join(fork(lambda: (refused(lambda: client.count("a")), client.close())))
    stop.set()
    for thread in threads:
        thread.join()
    """
    assert _run(tmp_path, body) == 100


def test_a_child_that_lives_on_does_not_hold_the_folder(tmp_path: Path) -> None:
    body = """
    child = fork(lambda: time.sleep(60))
    client.close()
    with EmbeddedQdrant(sys.argv[1]) as again:
        again.upsert("a", points(100, 10))
    os.kill(child, 9)
    os.waitpid(child, 0)
    client = EmbeddedQdrant(sys.argv[1])
    """
    assert _run(tmp_path, body) == 110


def test_a_child_opens_the_folder_once_the_parent_has_closed_it(tmp_path: Path) -> None:
    body = """
    client.count("a")
    reading, writing = os.pipe()

    def child():
        os.read(reading, 1)
        with EmbeddedQdrant(sys.argv[1]) as mine:
            mine.upsert("a", points(100, 10))

    pid = fork(child)
    client.close()
    os.write(writing, b"x")
    join(pid)
    client = EmbeddedQdrant(sys.argv[1])
    """
    assert _run(tmp_path, body) == 110


def test_a_client_of_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    body = """
    early = EmbeddedQdrant(sys.argv[1] + "-other")
    params = models.VectorParams(size=2, distance="Dot")
    join(fork(lambda: refused(lambda: early.create_collection("b", params))))
    early.create_collection("b", params)
    early.close()
    """
    assert _run(tmp_path / "x", body) == 100
