"""`benchmarks/server.py` runs against the test server."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from rdr_qdrant import EmbeddedQdrant, connect
from tests.support.faults import Status
from tests.support.qdrant_grpc_server import QdrantGRPCServer
from tests.support.qdrant_http_server import QdrantHTTPServer

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "server.py"


@pytest.fixture
def bench() -> Callable[..., None]:
    return runpy.run_path(str(SCRIPT))["main"]


def test_the_steps_hold_and_leave_nothing_behind(
    bench: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with (
        EmbeddedQdrant(tmp_path / "behind") as backend,
        QdrantHTTPServer(backend) as server,
        QdrantGRPCServer(backend) as over_grpc,
    ):
        steps = "load,resume,prune,copy,hybrid,rates"
        small = ["--passages", "200", "--dimension", "8", "--grpc-port", str(over_grpc.port)]
        bench(["--url", server.url, "--steps", steps, *small])
        assert connect(server.url).get_collections().collections == []
    found = json.loads(capsys.readouterr().out)
    assert found["version"] == "1.20.0"
    assert found["load"]["points"] == 200
    assert 0 < found["resume"]["interrupted_at"] == found["resume"]["unchanged"]
    assert found["prune"]["removed"] == 20
    assert found["hybrid"]["points"] == 200
    for way in ("rest", "grpc"):
        assert found["rates"][way]["points_per_second"] > 0


def test_a_refusal_is_one_line(bench: Callable[..., None]) -> None:
    with QdrantHTTPServer() as server:
        server.inject(Status(403), times=9, match="PUT .*/points")
        options = ["--url", server.url, "--passages", "10", "--dimension", "8"]
        with pytest.raises(SystemExit, match=r"^load: .*403.*$"):
            bench([*options, "--steps", "load"])
        assert connect(server.url).get_collections().collections == []
