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
