"""`rdr-qdrant plan`, as people type it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command


def test_wikipedia_is_the_default_and_the_summary_comes_first(command: Command) -> None:
    out = command("plan").out
    assert out.splitlines()[0] == (
        "21,015,324 passages (preset small): 67.2 GB RAM, 84.7 GB disk, 169.3 GB at the peak, "
        "about 3 h 52 min on H100 SXM."
    )
    assert "64.6 GB" in out
    assert "21,015,324 x 768 x 4 B" in out
    for name in ("none", "float16", "scalar", "turbo", "product", "binary", "preset large"):
        assert f"\n{name}" in out
    for gpu in ("H100", "T4", "RTX 4090"):
        assert f"encoding, {gpu}" in out
    assert "estimate" in out


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("21M", 21_000_000),
        ("300k", 300_000),
        ("1.5M", 1_500_000),
        ("21,015,324", 21_015_324),
        ("1000", 1000),
    ],
)
def test_passages_as_people_write_them(command: Command, written: str, number: int) -> None:
    assert command("plan", "--passages", written, "--json").json["needs"]["passages"] == number
    assert command("plan", "--passages", written).out.startswith(f"{number:,} passages ")


@pytest.mark.parametrize("written", ["", "M", "many", "0", "-5", "1.5", "1.2345k", "nan", "infM"])
def test_passages_that_are_no_whole_number_are_wrong_usage(command: Command, written: str) -> None:
    outcome = command("plan", "--passages", written)
    assert outcome.status == 2
    assert "is not a number such as 300k, 1.5M or 21,015,324" in " ".join(outcome.err.split())


def test_json_is_the_whole_plan(command: Command) -> None:
    found = command("plan", "--passages", "1000", "--gpu", "l4", "--json").json
    assert found["needs"]["passages"] == 1000
    vectors, *_ = found["parts"]
    assert vectors["value"] == 1000 * 768 * 4
    assert vectors["arithmetic"] == "1,000 x 768 x 4 B"
    assert [one["name"] for one in found["layouts"]][:4] == ["small", "large", "disk", "none"]
    assert found["layouts"][1]["in_ram"] == ["quantized", "graph", "ids"]
    assert found["encoding"][0]["estimate"] is True
    assert found["ingest"]["value"] > found["index"]["value"]


def test_only_the_presets_asked_for_are_shown(command: Command) -> None:
    found = command("plan", "--preset", "large", "--json").json
    assert [one["name"] for one in found["layouts"]] == ["large"]


def test_given_rates_are_said_to_be_given(command: Command) -> None:
    rates = ["--encode-rate", "100", "--index-rate", "10", "--cores", "1"]
    found = command("plan", "--passages", "1000", *rates, "--json").json
    assert (found["encoding"][0]["value"], found["index"]["value"]) == (10, 100)
    assert found["encoding"][0]["estimate"] is False
    assert found["ingest"]["value"] == 110


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gpu", "abacus"], "Unknown GPU 'abacus'"),
        (["--preset", "huge"], "Unknown preset 'huge'"),
        (["--replicas", "3"], "3 replicas need as many servers"),
        (["--gpu", "l4", "--encode-rate", "-5"], "'--encode-rate': Input should be greater than"),
        (["--encode-rate", "inf"], "'--encode-rate': Input should be less than"),
        (["--split", "100"], "--split has no effect without a SOURCE"),
        (["x.tsv", "--text-bytes", "9"], "leave out --passages and --text-bytes"),
        (["--dimension", "0"], "'--dimension': Input should be greater than or equal to 1"),
    ],
)
def test_contradictions_are_wrong_usage(command: Command, options: list[str], words: str) -> None:
    outcome = command("plan", *options)
    assert outcome.status == 2
    [line] = outcome.errors
    assert words in line


def test_rejected_rows_of_a_source_are_counted_and_shown(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "1", "text": "one"}\n')
    assert command("plan", path).status == 0
    assert command("plan", "--json").json["rejected"] == 0
    path.write_text('{"id": "1", "text": "one"}\nbroken\n')
    outcome = command("plan", path, "--json")
    assert (outcome.status, outcome.json["rejected"]) == (3, 1)
    assert outcome.json["needs"]["passages"] == 1
    assert "Rejected: 1 x not JSON" in outcome.err
    assert command("plan", path).status == 3


def test_planning_needs_no_heavy_packages() -> None:
    code = (
        "import sys; from rdr_qdrant.cli.app import run; run(['plan']); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'qdrant_client', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
