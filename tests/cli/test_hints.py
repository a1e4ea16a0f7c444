"""What the command line says where a newcomer took a wrong turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rdr_qdrant.cli.stderr import pluralize
from tests.cli.conftest import Command


def test_info_lists_the_collections(command: Command, pair: list[str], tsv: Path) -> None:
    none = command("info")
    assert (none.status, none.out) == (0, "")
    assert none.err.startswith("There is no collection yet. Create one with: rdr-qdrant ingest")
    command("ingest", tsv, "-c", "b", *pair)
    command("ingest", tsv, "-c", "a", "--swap-alias", *pair)
    first, second = command("info", "--json").json
    assert (first["name"], first["points"], first["aliases"]) == ("a-1", 2, ["a"])
    assert (second["name"], second["points"], second["aliases"]) == ("b", 2, [])
    header, *rows = command("info").out.splitlines()
    assert header.split() == ["collection", "points", "aliases", "model"]
    shown = [row.split()[:3] for row in rows if not row.startswith(" ")]  # a long model is wrapped
    assert shown == [["a-1", "2", "a"], ["b", "2", "-"]]


@pytest.mark.parametrize(
    ("name", "rows", "why"),
    [
        ("p.tsv", "id\ttext\ttitle\n1\ta\tb\n", "its header has id and text"),
        ("p.csv", "id,text\n1,a\n", "its header has id and text"),
        ("p.jsonl", '{"id": "1", "text": "a"}\n', "its first row has a text and no question"),
    ],
)
def test_passages_are_no_questions(
    command: Command, tmp_path: Path, name: str, rows: str, why: str
) -> None:
    (tmp_path / name).write_text(rows)
    outcome = command("eval", name, "-c", "c")
    assert outcome.status == 1
    [error] = outcome.errors
    assert error.startswith(f"Error: {name} holds passages, not questions ({why}).")
    assert error.endswith(f"To load passages: rdr-qdrant ingest {name} -c NAME.")
    assert "Rejected:" not in outcome.err


def test_a_filter_that_nothing_can_fulfil_is_told(
    command: Command, pair: list[str], tmp_path: Path
) -> None:
    row = {"id": "1", "text": "the river", "year": 1999}
    (tmp_path / "f.jsonl").write_text(json.dumps(row))
    command("ingest", "f.jsonl", "-c", "c", *pair)
    wrong = command("search", "river", "-c", "c", "--filter", "yaer=1999", *pair)
    assert wrong.out == "No passage was found.\n"
    expected = "No passage has the metadata 'yaer'. There are: id, source, title, year."
    assert expected in wrong.err.splitlines()
    assert command("search", "river", "-c", "c", "--filter", "yaer=1", *pair, "--json").json == []
    other = command("search", "river", "-c", "c", "--filter", "year=1", *pair)
    assert "metadata" not in other.err


def test_counts_of_nothing_and_of_one_are_short(
    command: Command, pair: list[str], tmp_path: Path
) -> None:
    (tmp_path / "f.jsonl").write_text(json.dumps({"id": "1", "text": "the river"}))
    lines = command("ingest", "f.jsonl", "-c", "c", "--prune", *pair).out.splitlines()
    facts = {name: value.strip() for name, value in (line.split(maxsplit=1) for line in lines)}
    assert facts["collection"] == "c (1 point)"
    assert (facts["updated"], facts["removed"]) == ("0", "0")
    assert facts["verified"] == "1 point found, 1 of them read back and equal"


def test_a_number_with_its_noun() -> None:
    assert pluralize(0, "passages") == "0 passages"
    assert pluralize(1, "passages") == "1 passage"
    assert pluralize(2000, "points") == "2,000 points"
