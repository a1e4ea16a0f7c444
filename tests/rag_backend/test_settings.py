from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from examples.rag_backend.__main__ import main
from rdr_qdrant import connect
from tests.rag_backend.conftest import settings

ROOT = Path(__file__).parents[2]


def run(**environment: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAG_", "QDRANT_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "examples.rag_backend"],
        cwd=ROOT,
        env=kept | environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_listening_on_the_network_needs_a_key() -> None:
    with pytest.raises(ValidationError, match="RAG_API_KEY"):
        settings(host="0.0.0.0")
    assert settings(host="0.0.0.0", api_key="secret").api_key
    assert settings(host="0.0.0.0", without_key=True)
    assert settings(host="::1")


def test_secrets_are_not_shown() -> None:
    shown = repr(settings(api_key="tomato", qdrant_api_key="potato"))
    assert "tomato" not in shown
    assert "potato" not in shown


def test_empty_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_API_KEY", "")
    monkeypatch.setenv("RAG_CHAT_MODEL", "")
    assert settings().api_key is None
    assert settings().chat_model is None


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("RAG_PORT", "many", "Error: RAG_PORT: "),
        ("RAG_SEARCH_RATE", "often", "Error: RAG_SEARCH_RATE: "),
        ("RAG_HOST", "0.0.0.0", "Error: "),
        ("RAG_CHAT_MODEL", "nobody:x", "Error: RAG_CHAT_MODEL is nobody:x"),
    ],
)
def test_invalid_settings_are_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    reason: str,
) -> None:
    monkeypatch.setenv(variable, value)
    assert main() == 2
    said = capsys.readouterr().err
    assert said.startswith(reason)
    assert said.count("\n") == 1


def test_invalid_settings_end_the_process_with_status_2() -> None:
    with run(RAG_PORT="many") as process:
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(60) == 2
    assert said.startswith("Error: RAG_PORT: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_frees_the_folder(own_folder: Path, number: int) -> None:
    with run(RAG_PORT="0", RAG_QDRANT_PATH=str(own_folder)) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"running on (http://\S+)", line):
                url = found[1]
                break
        deadline = time.monotonic() + 60
        while httpx.get(f"{url}/healthz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(number)
        said = process.stderr.read()
        process.wait(30)
    assert "Traceback" not in said
    connect(path=own_folder).close()
