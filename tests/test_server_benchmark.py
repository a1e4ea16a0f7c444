"""`benchmarks/server.py` runs against the test server."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from rdr_qdrant import connect
from tests.support.qdrant_http_server import QdrantHTTPServer

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "server.py"


@pytest.fixture
def bench() -> Callable[..., None]:
    return runpy.run_path(str(SCRIPT))["main"]


def test_the_steps_hold_and_leave_nothing_behind(
    bench: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with QdrantHTTPServer() as server:
        steps = "load,resume,prune,copy,rates"
        small = ["--passages", "200", "--dimension", "8"]
        bench(["--url", server.url, "--steps", steps, *small])
        assert connect(server.url).get_collections().collections == []
    found = json.loads(capsys.readouterr().out)
    assert found["version"] == "1.20.0"
    assert found["load"]["points"] == 200
    assert 0 < found["resume"]["interrupted_at"] == found["resume"]["unchanged"]
    assert found["prune"]["removed"] == 20
    assert found["rates"]["rest"]["points_per_second"] > 0
