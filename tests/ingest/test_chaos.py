"""The chaos benchmark, small: killed loads and a failing network lose and double nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the benchmark forks")
def test_loads_that_are_killed_and_loads_over_a_failing_network() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "chaos.py"), "--json"]
    command += ["--kills", "4", "--kills-over-grpc", "1", "--rows", "4000", "--faults", "40"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    for part, count in (("kills", 4), ("kills over gRPC", 1)):
        kills = results[part]
        assert (kills["kills"], kills["points"]) == (count, 4000)
        assert kills["missing"] == kills["too many"] == kills["different"] == 0
    faults = results["faults"]
    assert faults["faults"] >= 40
    assert faults["faults over gRPC"] >= 10
    assert faults["lost"] == faults["doubled"] == faults["false reports"] == 0
