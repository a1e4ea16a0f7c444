"""A load killed at random moments (SIGKILL) keeps every acknowledged point.

RDR_KILLS=50 pytest tests/embedded/test_crashes.py   runs the full number.
"""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

from rdr_qdrant.embedded import EmbeddedQdrant
from tests.embedded.crash_writer import vector_of

KILLS = int(os.environ.get("RDR_KILLS", "5"))
SCRIPT = Path(__file__).with_name("crash_writer.py")
ROOT = Path(__file__).parents[2]


def _load_and_kill(folder: Path, first: int, seconds: float) -> int:
    """The id after the last acknowledged one."""
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), str(first)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        last = process.stdout.readline()
        threading.Timer(seconds, process.kill).start()
        for line in process.stdout:
            if line.endswith("\n"):
                last = line
    assert process.returncode == -9, process.returncode
    return int(last)


def test_every_acknowledged_point_survives_being_killed(tmp_path: Path) -> None:
    rng, acknowledged = random.Random(5), 0
    for _ in range(KILLS):
        acknowledged = _load_and_kill(tmp_path, acknowledged, rng.uniform(0, 1.5))
        with EmbeddedQdrant(tmp_path) as client:
            assert client.count("crash").count >= acknowledged
            sample = [*rng.sample(range(acknowledged), 20), acknowledged - 1]
            for record in client.retrieve("crash", sample, with_vectors=True):
                assert record.payload == {"i": record.id}
                assert record.vector == vector_of(int(record.id)).tolist()
            seen, offset = 0, None
            while offset is not None or seen == 0:
                page, offset = client.scroll(
                    "crash", limit=20_000, offset=offset, with_payload=False
                )
                seen += sum(int(r.id) < acknowledged for r in page)
            assert seen == acknowledged
    print(f"{KILLS} kills, {acknowledged} acknowledged points, none lost")
