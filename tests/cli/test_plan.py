"""`rdr-qdrant plan`, as people type it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import Command


def test_wikipedia_is_planned_without_a_word(command: Command) -> None:
    out = command("plan").out
    assert "21,015,324, of 768 numbers" in out
    assert "64.6 GB" in out
    assert "21,015,324 x 768 x 4 B x 1.5 = 96.8 GB" in " ".join(out.split())
    for name in ("none", "float16", "scalar", "turbo", "product", "binary", "small", "large"):
        assert f"\n{name}" in out
    for gpu in ("H100", "T4", "RTX 4090"):
        assert f"encoding, {gpu}" in out
    assert "estimate" in out


def test_json_is_the_whole_plan(command: Command) -> None:
    found = command("plan", "--passages", "1000", "--gpu", "l4", "--json").json
    assert found["needs"]["passages"] == 1000
    vectors, *_ = found["parts"]
    assert vectors["value"] == 1000 * 768 * 4
    assert vectors["arithmetic"] == "1,000 x 768 x 4 B"
    assert [one["name"] for one in found["presets"]] == ["small", "large", "disk"]
    assert found["encoding"][0]["estimate"] is True
    assert found["ingest"]["value"] > found["index"]["value"]


def test_only_what_is_asked_for_is_shown(command: Command) -> None:
    found = command("plan", "--preset", "large", "--json").json
    assert [one["name"] for one in found["presets"]] == ["large"]
    assert found["quantizations"] == []
    found = command("plan", "--quantization", "binary", "--json").json
    assert [one["name"] for one in found["quantizations"]] == ["binary"]
    assert found["presets"] == []


def test_given_rates_are_said_to_be_given(command: Command) -> None:
    rates = ["--encode-rate", "100", "--upload-rate", "50", "--index-rate", "10", "--cores", "1"]
    found = command("plan", "--passages", "1000", *rates, "--json").json
    assert [found[name]["value"] for name in ("upload", "index")] == [20, 100]
    assert found["encoding"][0]["value"] == 10
    assert found["upload"]["source"] == "--upload-rate"
    assert found["ingest"]["value"] == 120


def test_encoding_is_measured_here(
    command: Command, pair: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rdr_qdrant.cli.plan_command.SECONDS", 0.0)
    found = command("plan", "--passages", "1000", "--measure", *pair, "--json").json
    [encoding] = found["encoding"]
    assert encoding["source"].startswith("measured here on cpu in fp32, at ")
    assert encoding["estimate"] is False
    assert encoding["value"] > 0
    assert found["needs"]["dimension"] == 32


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gpu", "abacus"], "no GPU 'abacus'"),
        (["--quantization", "int3"], "no quantization 'int3'"),
        (["--preset", "huge"], "no preset 'huge'"),
        (["--measure", "--encode-rate", "5"], "leave one out"),
        (["--replicas", "3"], "3 replicas need as many servers"),
        (["--gpu", "l4", "--encode-rate", "-5"], "above 0"),
        (["--model", "demo"], "--measure"),
    ],
)
def test_contradictions_are_wrong_usage(command: Command, options: list[str], words: str) -> None:
    outcome = command("plan", *options)
    assert outcome.status == 2
    [line] = outcome.errors
    assert words in line


def test_planning_needs_no_heavy_packages() -> None:
    code = (
        "import sys; from rdr_qdrant.cli.app import run; run(['plan']); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'qdrant_client', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
