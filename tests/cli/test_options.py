"""Shared options: declared once, the rare ones listed by `--help-all`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from rdr_qdrant.cli.app import app
from rdr_qdrant.cli.option_groups import EncoderOptions, SearchOptions, explicitly_set
from tests.cli.conftest import Command

COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]


def listed_options(command: Command, *arguments: str) -> set[str]:
    """The long options on a help page."""
    outcome = command(*arguments)
    assert outcome.status == 0
    return set(re.findall(r"^[│|] [* ]*(--[a-z0-9-]+)", outcome.out, re.MULTILINE))


def test_the_main_help_page_of_ingest_has_at_most_25_options(command: Command) -> None:
    shown = listed_options(command, "ingest", "--help")
    assert len(shown) <= 25
    assert {"--collection", "--url", "--path", "--model", "--prune", "--help-all"} <= shown


@pytest.mark.parametrize("name", COMMANDS)
def test_help_all_lists_every_option(command: Command, name: str) -> None:
    found = get_command(app).commands[name].params  # type: ignore[attr-defined]
    every = {option.opts[0] for option in found if option.opts[0].startswith("--")}
    shown = listed_options(command, name, "--help-all")
    assert every <= shown
    assert {"--debug", "--help", "--help-all"} <= shown
    assert listed_options(command, name, "--help") < shown


def test_hidden_options_are_accepted(command: Command, pair: list[str], tsv: Path) -> None:
    rare = ["--batch-size", "1", "--retry-for", "1", "--no-index", "--max-length", "64"]
    assert command("ingest", tsv, "-c", "c", *rare, *pair, "--json").json["uploaded"] == 2


def test_explicitly_set_options_are_named_as_they_are_typed() -> None:
    assert explicitly_set(EncoderOptions()) == []
    given = EncoderOptions(question_encoder="q", max_length=64)
    assert explicitly_set(given) == ["--question-encoder", "--max-length"]
    assert explicitly_set(SearchOptions(rescore=False, exact=True)) == ["--exact", "--no-rescore"]
    assert explicitly_set(SearchOptions(rescore=False, exact=True), ["rescore"]) == ["--no-rescore"]
