from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rdr_qdrant.cli.app import run


@dataclass
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("Error: ")]


Command = Callable[..., Outcome]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run `rdr-qdrant` with these arguments in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QDRANT_URL", raising=False)

    def command(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return command


@pytest.fixture
def pair(tiny_pair: tuple[str, str]) -> list[str]:
    """The options that name the tiny pair."""
    return ["--context-encoder", tiny_pair[0], "--question-encoder", tiny_pair[1]]


@pytest.fixture
def tsv(tmp_path: Path) -> Path:
    path = tmp_path / "passages.tsv"
    path.write_text(
        "id\ttext\ttitle\n1\tthe river is in the north\triver\n2\tthe king built the city\tking\n"
    )
    return path
