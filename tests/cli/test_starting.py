"""A process of its own starts quickly, and works as one that imported everything as usual."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.support.qdrant_http_server import QdrantHTTPServer


@pytest.fixture(params=["--path", "--url"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    if request.param == "--path":
        yield ["--path", str(tmp_path / "store")]
        return
    with QdrantHTTPServer() as server:
        yield ["--url", server.url]


def test_commands_do_the_same_in_a_process_of_their_own(
    command: Command, pair: list[str], tsv: Path, tmp_path: Path, where: list[str]
) -> None:
    def alone(*arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "rdr_qdrant", *arguments, "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    ingest = ["ingest", str(tsv), "-c", "c", *where, *pair]
    assert alone(*ingest, "--preset", "small", "--payload-index", "title")["uploaded"] == 2
    assert alone(*ingest, "--prune")["unchanged"] == 2
    search = ["search", "who built the city?", "-c", "c", "--filter", "title=king", *where, *pair]
    assert alone(*search) == command(*search, "--json").json
    info = ["info", "-c", "c", *where]
    assert alone(*info) == command(*info, "--json").json


THREADS = """
import sys, threading
sys.setswitchinterval(1e-6)
from rdr_qdrant.cli.starting import import_client

import_client()
from qdrant_client import models

together, errors = threading.Barrier(8), []

def use() -> None:
    together.wait()
    try:
        points = [models.PointStruct(id=1, vector=[1.0], payload={"a": 1})]
        models.PointsList(points=points).model_dump_json()
        same = models.FieldCondition(key="a", match=models.MatchValue(value="b"))
        chosen = models.Filter(must=[same, models.HasIdCondition(has_id=[1, 2])])
        models.SetPayloadOperation(set_payload=models.SetPayload(payload={"a": 1}, filter=chosen))
    except Exception as error:
        errors.append(error)

threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(str(errors) if errors else 0)
"""


def test_writers_may_be_the_first_to_use_a_model() -> None:
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
