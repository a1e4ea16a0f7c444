"""docs/wikipedia.md: its commands exist as they stand there, and its figures are the plan's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from rdr_qdrant.cli.app import app
from rdr_qdrant.registry import PAIRS
from tests.cli.conftest import Command

RUNBOOK = (Path(__file__).parents[2] / "docs" / "wikipedia.md").read_text(encoding="utf-8")
CODE = "\n".join(line for line in RUNBOOK.splitlines() if line.startswith("    "))
COMMANDS = [
    re.split(r"\s+[#&]", found)[0]
    for found in re.findall(r"rdr-qdrant (\w.*)", CODE.replace("\\\n", " "))
]


def test_it_shows_every_step() -> None:
    assert {line.split()[0] for line in COMMANDS} == {
        "plan",
        "bench",
        "ingest",
        "info",
        "encode",
        "eval",
    }


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_is_understood(line: str, tmp_path: Path) -> None:
    name, *arguments = shlex.split(line.replace("RATE", "100"))
    commands = get_command(app).commands  # type: ignore[attr-defined]
    commands[name].make_context(name, arguments)


@pytest.mark.parametrize("line", [line for line in COMMANDS if "--cores 16" in line])
def test_its_figures_are_the_plans(command: Command, line: str) -> None:
    shown = "".join(RUNBOOK.split())
    for figure in re.findall(r"[\d.,]+ [GM]B", command(*line.split()).out):
        assert figure.replace(" ", "") in shown


def test_the_published_figures_are_the_model_cards() -> None:
    published = PAIRS["rdr-single-trivia"].published["trivia-test"]
    assert " ".join(f"{figure:.2f}" for figure in published.values()) in RUNBOOK
