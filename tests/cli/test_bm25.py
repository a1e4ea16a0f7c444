"""BM25 on the command line: ingest, index, search, eval and info."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command

QUESTIONS = '{"question": "who built the city?", "answers": ["king"]}\n'


@pytest.fixture
def loaded(command: Command, pair: list[str], tsv: Path) -> list[str]:
    assert command("ingest", tsv, "-c", "c", "--bm25", *pair).status == 0
    return ["-c", "c", *pair]


def test_a_collection_with_bm25_is_searched_in_every_mode(
    command: Command, loaded: list[str], pair: list[str]
) -> None:
    found = command("search", "king", *loaded, "--mode", "bm25", "--json").json
    assert found
    assert all("king" in f"{hit['title']} {hit['text']}" for hit in found)
    scores = [hit["score"] for hit in found]
    assert scores == sorted(scores, reverse=True)
    for options in (
        ["--mode", "hybrid"],
        ["--mode", "hybrid", "--fusion", "rrf", "--rrf-k", "60"],
        ["--mode", "hybrid", "--fusion", "linear", "--fusion-weights", "1,0.1"],
    ):
        assert command("search", "king", *loaded, *options, "--json").json
    assert "english" in command("info", "-c", "c").out
    info = command("info", "-c", "c", "--json").json
    assert info["bm25"]["language"] == "english"
    assert info["bm25"]["points"] == info["points"]


def test_wrong_options_are_refused_by_name(command: Command, loaded: list[str]) -> None:
    for options, message in (
        (["--mode", "words"], "no mode 'words'. Known: dense, bm25, hybrid"),
        (["--mode", "hybrid", "--fusion", "max"], "no fusion 'max'"),
        (["--fusion", "rrf"], "--fusion is for mode hybrid: add --mode hybrid, or leave it out"),
        (["--mode", "bm25", "--candidates", "9"], "--candidates is for mode hybrid"),
        (["--mode", "bm25", "--hnsw-ef", "9"], "--hnsw-ef is for vectors, and bm25 compares words"),
        (["--mode", "bm25", "--no-rescore"], "--no-rescore is for vectors"),
        (["--mode", "hybrid", "--fusion-weights", "1"], "is not two numbers such as 1,0.5"),
        (["--mode", "hybrid", "--score-threshold", "1"], "no meaning with the fusion dbsf"),
    ):
        outcome = command("search", "king", *loaded, *options)
        assert outcome.status == 2
        assert message in outcome.errors[0]
    assert command("index", "-c", "c").status == 2
    assert command("index", "-c", "c", "--bm25", "--drop-bm25").status == 2
    assert command("index", "-c", "c", "--drop-bm25", "--language", "german").status == 2
    assert command("index", "-c", "none", "--bm25").status == 1
    assert command("ingest", "x.tsv", "-c", "c", "--language", "german").status == 2


def test_index_adds_it_to_a_collection_that_exists(
    command: Command, pair: list[str], tsv: Path
) -> None:
    points = command("ingest", tsv, "-c", "c", *pair, "--json").json["points"]
    outcome = command("search", "king", "-c", "c", "--mode", "bm25")
    assert outcome.status == 1
    assert "rdr-qdrant index -c c --bm25" in outcome.errors[0]
    outcome = command("ingest", tsv, "-c", "c", "--bm25", *pair)
    assert outcome.status == 1
    assert "rdr-qdrant index -c c --bm25" in outcome.errors[0]
    planned = command("index", "-c", "c", "--bm25", "--dry-run", "--json").json
    assert (planned["indexed"], planned["dry_run"]) == (points, True)
    done = command("index", "-c", "c", "--bm25", "--language", "german", "--json").json
    assert (done["indexed"], done["points"], done["language"]) == (points, points, "german")
    assert "0 points got it" in command("index", "-c", "c", "--bm25").out
    assert command("index", "-c", "c", "--bm25", "--language", "english").status == 1
    assert command("search", "king", "-c", "c", "--mode", "bm25", "--json").status == 0
    assert command("index", "-c", "c", "--drop-bm25", "--json").json["dropped"] is True
    assert "had no BM25" in command("index", "-c", "c", "--drop-bm25").err


def test_eval_compares_modes(command: Command, loaded: list[str], tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(QUESTIONS * 3)
    alone = {
        mode: command("eval", "q.jsonl", *loaded, "-k", "1,2", "--mode", mode, "--json").json
        for mode in ("dense", "bm25", "hybrid")
    }
    found = command(
        "eval", "q.jsonl", *loaded, "-k", "1,2", "--mode", "dense,bm25,hybrid", "--json"
    ).json
    assert found["recall"] == alone["dense"]["recall"]
    assert found["modes"] == {mode: one["recall"] for mode, one in alone.items()}
    difference = found["modes"]["bm25"]["1"] - found["modes"]["dense"]["1"]
    assert found["differences"]["bm25 - dense"]["1"]["mean"] == pytest.approx(difference)
    table = command("eval", "q.jsonl", *loaded, "--mode", "dense,hybrid", "--plot", "p.svg")
    assert "hybrid - dense" in table.out
    assert "hybrid" in (tmp_path / "p.svg").read_text()
    outcome = command("eval", "q.jsonl", *loaded, "--mode", "dense,bm25", "--trec", "t")
    assert outcome.status == 2
    assert "--trec is for one mode at a time" in outcome.errors[0]


def test_mode_bm25_loads_no_encoder(command: Command, loaded: list[str]) -> None:
    """Neither the pair nor torch: the recorded pair need not exist any more."""
    script = (
        "import sys; from rdr_qdrant.cli.app import run\n"
        "status = run(['search', 'king', '-c', 'c', '--mode', 'bm25', '--json'])\n"
        "sys.exit(status or ('torch' in sys.modules) * 9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "king" in done.stdout


def test_an_encoded_folder_gets_it_too(command: Command, pair: list[str], tsv: Path) -> None:
    assert command("encode", tsv, "-o", "encoded", *pair).status == 0
    assert command("ingest", "encoded", "-c", "c", "--bm25").status == 0
    info = command("info", "-c", "c", "--json").json
    assert info["bm25"]["points"] == info["points"]
