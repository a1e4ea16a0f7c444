"""The command in a process of its own, which starts Ray itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rdr_qdrant import connect
from tests.conftest import COLLECTION
from tests.ray.processes import processes
from tests.support.faults import Slow
from tests.support.qdrant_http_server import QdrantHTTPServer

pytest.importorskip("ray")

ROOT = Path(__file__).parents[2]
KEY = "the-key-5d20aa"
ROWS = 200


@pytest.fixture
def server() -> Iterator[QdrantHTTPServer]:
    with QdrantHTTPServer(api_key=KEY) as server:
        yield server


def start(server: QdrantHTTPServer, pair: tuple[str, str], folder: Path) -> subprocess.Popen[str]:
    rows = folder / "rows.jsonl"
    rows.write_text(
        "".join(json.dumps({"id": f"r{n}", "text": f"river {n}"}) + "\n" for n in range(ROWS))
    )
    command = [sys.executable, "-m", "rdr_qdrant", "ingest", str(rows), "-c", COLLECTION]
    command += ["--context-encoder", pair[0], "--question-encoder", pair[1], "--url", server.url]
    command += ["--engine", "ray", "--workers", "1", "--batch-size", "20", "--json"]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "QDRANT_API_KEY": KEY},
    )


def test_a_killed_worker_and_the_key_do_not_show_in_the_output(
    server: QdrantHTTPServer, tiny_pair: tuple[str, str], tmp_path: Path
) -> None:
    server.inject(Slow(0.5), times=ROWS, match="PUT .*/points")
    client = connect(url=server.url, api_key=KEY)
    with start(server, tiny_pair, tmp_path) as running:
        while running.poll() is None and not _count(client):
            for pid in processes("", running.pid):
                with suppress(OSError):  # it has ended meanwhile
                    assert KEY.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
            time.sleep(0.1)
        [worker] = processes("(Worker)", running.pid)
        os.kill(worker, signal.SIGKILL)
        server.clear_faults()
        out, err = running.communicate(timeout=300)
    report = json.loads(out)  # and nothing else: Ray's own messages are on stderr
    assert report["uploaded"] + report["unchanged"] == report["verified"] == ROWS
    assert KEY not in out + err
    client.close()


def test_a_signal_while_ray_starts_is_an_interruption(
    server: QdrantHTTPServer, tiny_pair: tuple[str, str], tmp_path: Path
) -> None:
    with start(server, tiny_pair, tmp_path) as running:
        threads = Path(f"/proc/{running.pid}/task")
        while running.poll() is None and not any(
            children.read_text().split() for children in threads.glob("*/children")
        ):
            time.sleep(0.05)
        time.sleep(0.3)
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=300)
    assert running.returncode == 130
    assert "Interrupted" in err


def _count(client: object) -> int:
    try:
        return int(client.count(COLLECTION).count)  # type: ignore[attr-defined]
    except Exception:  # it is not there yet
        return 0
