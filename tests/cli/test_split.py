"""`rdr-qdrant split`, and the options that say how texts are split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

TEXT = " ".join(f"The river number {n} flows north." for n in range(40))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"id": one, "text": TEXT}) + "\n" for one in "ab") + "x\n")
    return path


def test_it_shows_what_a_load_would_make(command: Command, pair: list[str], rows: Path) -> None:
    outcome = command("split", rows, "--split", "30", "--show", "2", "--json", *pair)
    found = outcome.json
    assert outcome.status == 3
    assert (found["passages"], found["under_20_words"], found["rejected"]) == (16, 0, 1)
    assert (found["words"], found["truncated"]) == ({"5%": 30, "median": 30, "95%": 30}, 0)
    assert found["split"]["rows"] == [{"words": 30, "by": "sentences", "overlap": 0}]
    assert [one["id"] for one in found["shown"]] == ["a#1", "a#2"]
    loaded = command("ingest", rows, "-c", "c", "--split", "30", "--json", *pair).json
    assert (loaded["uploaded"], loaded["truncated"]) == (16, 0)
    hits = command("search", "river", "-c", "c", "-k", "20", "--json", *pair).json
    assert [one["text"] for one in hits if one["id"] == "a#2"] == [found["shown"][1]["text"]]


def test_its_page_names_numbers_and_passages(command: Command, pair: list[str], rows: Path) -> None:
    outcome = command("split", rows, "--split", "30", "--overlap", "6", "--show", "1", *pair)
    assert outcome.out.startswith("a#1  30 words\n")
    said = "split into whole sentences up to 30 words, overlapping by up to 6"
    assert said in " ".join(outcome.out.split())
    assert "(longer than 256 tokens)" in outcome.out


def test_tokens_are_those_that_a_load_counts(command: Command, pair: list[str], rows: Path) -> None:
    options = ["--max-length", "32", "--json", *pair]
    found = command("split", rows, *options).json
    assert (found["passages"], found["truncated"]) == (2, 2)
    assert command("ingest", rows, "-c", "c", *options).json["truncated"] == 2
    assert command("split", rows, "--split", "100", *options).json["truncated"] == 0


def test_info_says_how_a_collection_was_split(
    command: Command, pair: list[str], rows: Path
) -> None:
    command("ingest", rows, "-c", "c", "--split", "30", "--split-by", "blocks", *pair)
    assert "split into blocks of 30 words" in command("info", "-c", "c").out
    found = command("info", "-c", "c", "--json").json["split"]
    assert found == {"rows": [{"words": 30, "by": "blocks", "overlap": 0}], "documents": []}


def test_an_encoded_folder_brings_its_split(command: Command, pair: list[str], rows: Path) -> None:
    command("encode", rows, "-o", "shards", "--split", "30", *pair)
    command("ingest", "shards", "-c", "c")
    assert "whole sentences up to 30 words" in command("info", "-c", "c").out
    refused = command("ingest", rows, "-c", "c", *pair)
    assert refused.status == 1
    assert "but this load has rows left whole" in refused.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--overlap", "5"], "--overlap has no effect on rows that are left whole"),
        (["--split-by", "blocks"], "--split-by has no effect on rows that are left whole"),
        (["--split", "10", "--overlap", "6"], "from 0 to 5, half of"),
        (["--split", "9", "--split-by", "blocks", "--overlap", "2"], "do not overlap"),
    ],
)
@pytest.mark.parametrize("name", ["split", "ingest"])
def test_options_that_contradict_each_other_are_refused(
    command: Command, pair: list[str], rows: Path, name: str, options: list[str], said: str
) -> None:
    where = ["-c", "c"] if name == "ingest" else []
    outcome = command(name, rows, *where, *options, *pair)
    assert outcome.status == 2
    assert said in outcome.err
