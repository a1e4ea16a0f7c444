"""Peak memory does not grow with the number of shards, as `benchmarks/shards_memory.py` says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ALL_VECTORS_MIB = 19 * 2_000 * 768 * 4 / 2**20
"""What nineteen shards more would take if they were held; on a busy machine 30 are in flight."""


def test_twenty_times_as_many_shards_take_no_more_memory() -> None:
    command = [sys.executable, "benchmarks/shards_memory.py", "--shards", "1", "20", "--json"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], check=True, stdout=subprocess.PIPE, text=True
    )
    growth = json.loads(done.stdout)["growth MiB"]
    assert set(growth) == {"encode", "ingest DIR"}
    assert max(growth.values()) < ALL_VECTORS_MIB / 2
