"""The main job, as a person at a terminal does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import RDREmbeddings, __version__, connect
from rdr_qdrant.client import DEFAULT_PATH
from rdr_qdrant.readers import Reject, read_questions
from tests.cli.conftest import Command

XQUAD_RECALL = {"1": 76.89, "5": 96.55, "20": 98.99, "50": 99.33, "100": 99.66}


def test_ingest_then_search_then_info(
    command: Command, pair: list[str], tsv: Path, tiny: RDREmbeddings
) -> None:
    loaded = command("ingest", tsv, "-c", "c", *pair, "--json")
    assert loaded.status == 0
    assert loaded.json["seconds"] > 0
    expected = {"read": 2, "uploaded": 2, "unchanged": 0, "rejected": 0, "truncated": 0}
    assert loaded.json.items() >= (expected | {"points": 2}).items()

    found = command("search", "who built the city?", "-c", "c", *pair, "--json")
    assert found.status == 0
    assert [set(hit) for hit in found.json] == [{"score", "id", "title", "text", "metadata"}] * 2
    texts = [hit["text"] for hit in found.json]
    assert texts[0] in ("the king built the city", "the river is in the north")
    assert found.json[0]["metadata"]["source"] == str(tsv)
    assert found.json[0]["score"] >= found.json[1]["score"]

    info = command("info", "-c", "c", "--json")
    assert (info.json["points"], info.json["dimension"], info.json["distance"]) == (2, 32, "Dot")
    assert info.json["identity"]["context_encoder"] == pair[1]


def test_scores_are_raw_inner_products(
    command: Command, pair: list[str], tsv: Path, tiny: RDREmbeddings
) -> None:
    from rdr_qdrant import Passage

    command("ingest", tsv, "-c", "c", *pair)
    [hit] = command("search", "who?", "-c", "c", "-k", 1, *pair, "--json").json
    vector = tiny.encode_passages([Passage(hit["id"], hit["text"], hit["title"])])[0]
    assert np.isclose(hit["score"], vector @ tiny.encode_questions(["who?"])[0], rtol=1e-5)


def test_ingesting_twice_changes_nothing(command: Command, pair: list[str], tsv: Path) -> None:
    command("ingest", tsv, "-c", "c", *pair)
    again = command("ingest", tsv, "-c", "c", *pair, "--json").json
    assert (again["uploaded"], again["unchanged"], again["points"]) == (0, 2, 2)


def test_people_read_rank_score_title_and_text(
    command: Command, pair: list[str], tsv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    command("ingest", tsv, "-c", "c", *pair)
    lines = command("search", "the king", "-c", "c", *pair).out.splitlines()
    assert lines[0].split()[0] == "1"
    assert max(map(len, lines)) <= 40
    assert "    the king built the city" in lines
    assert all(line == line.rstrip() for line in lines)


def test_what_a_passage_holds_does_not_command_the_terminal(
    command: Command, pair: list[str], tmp_path: Path
) -> None:
    row = {"id": "\x1b]0;x\x07", "text": "a \x1b[31mred [bold]word[/bold]", "title": "\x9b2J"}
    (tmp_path / "f.jsonl").write_text(json.dumps(row))
    command("ingest", "f.jsonl", "-c", "c", *pair)
    shown = command("search", "word", "-c", "c", *pair).out
    assert "[bold]word[/bold]" in shown
    assert not any(c in shown for c in "\x1b\x07\x9b")


def test_rows_that_are_set_aside_are_counted_shown_and_written(
    command: Command, pair: list[str], tmp_path: Path
) -> None:
    (tmp_path / "f.jsonl").write_bytes(
        b'{"id": 1, "text": "the king"}\nnot json\n{"id": 2}\n{"id": 3, "text": ""}\n'
    )
    outcome = command("ingest", "f.jsonl", "-c", "c", *pair, "--rejects", "bad.jsonl", "--json")
    assert outcome.status == 3
    assert (outcome.json["read"], outcome.json["uploaded"], outcome.json["rejected"]) == (4, 1, 3)
    rows = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert [(row["source"], row["line"]) for row in rows] == [("f.jsonl", n) for n in (2, 3, 4)]
    assert rows[0]["row"] == "not json"
    assert "Rejected: 1 x text is empty (first: f.jsonl, line 4)" in outcome.err


def test_filters(command: Command, pair: list[str], tmp_path: Path) -> None:
    rows = [{"id": n, "text": f"the king {n}", "year": year} for n, year in ((1, 1999), (2, "x=y"))]
    (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, rows)))
    command("ingest", "f.jsonl", "-c", "c", *pair)

    def ids(*filters: str) -> list[str]:
        options = [part for condition in filters for part in ("--filter", condition)]
        found = command("search", "king", "-c", "c", *options, *pair, "--json").json
        return [hit["id"] for hit in found]

    assert ids("year=1999") == ["1"]
    assert ids("year=x=y") == ["2"]
    assert ids("year=1999", "id=2") == []


def test_a_key_may_be_repeated_and_all_its_conditions_must_match(
    command: Command, pair: list[str], tmp_path: Path
) -> None:
    rows = [
        {"id": "both", "text": "the king", "tags": ["a", "b"], "team": "blue"},
        {"id": "one", "text": "a king", "tags": ["b"], "team": "red"},
    ]
    (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, rows)))
    command("ingest", "f.jsonl", "-c", "c", *pair)
    options = ["--filter", "tags=a", "--filter", "tags=b"]
    found = command("search", "king", "-c", "c", *options, *pair, "--json").json
    assert [hit["id"] for hit in found] == ["both"]
    contradicting = ["--filter", "team=blue", "--filter", "team=red"]
    assert command("delete", "-c", "c", *contradicting, "--yes", "--json").json["deleted"] == 0


def test_eval_prints_a_table_or_json(command: Command, pair: list[str], tsv: Path) -> None:
    command("ingest", tsv, "-c", "c", *pair)
    Path("q.tsv").write_text("who?\t['King']\nwhere?\t['nowhere']\n")
    outcome = command("eval", "q.tsv", "-c", "c", "-k", "2,1", *pair, "--json")
    assert outcome.json["questions"] == 2
    assert list(outcome.json["recall"]) == ["1", "2"]
    assert outcome.json["recall"]["2"] == 50.0
    table = command("eval", "q.tsv", "-c", "c", "-k", "2", *pair)
    assert "@2" in table.out
    assert "50.00" in table.out


def test_the_collection_knows_its_named_pair(command: Command, tsv: Path) -> None:
    command("ingest", tsv, "-c", "c", "--model", "demo")
    assert command("search", "who is the king?", "-c", "c", "-k", 1, "--json").json[0]["id"] == "2"


def test_models_lists_every_pair_with_its_published_figures(command: Command) -> None:
    shown = command("models").out
    assert "rdr-single-trivia" in shown
    assert "62.56" in shown
    assert [pair["name"] for pair in command("models", "--json").json][-1] == "demo"


@pytest.mark.parametrize("name", ["ingest", "search", "eval", "info", "copy", "models", "demo"])
def test_every_help_has_an_example_and_fits(
    command: Command, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = command(name, "--help")
    assert outcome.status == 0
    assert f"Example: rdr-qdrant {name}" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_version(command: Command) -> None:
    assert command("--version").out == f"rdr-qdrant {__version__}\n"


def test_stdin_and_the_module_form(tmp_path: Path, pair: list[str]) -> None:
    rows = '{"text": "the king"}\n{"text": "the river"}\n'
    arguments = ["ingest", "-", "-c", "c", "--path", "data", "--json", *pair]
    process = subprocess.run(
        [sys.executable, "-m", "rdr_qdrant", *arguments],
        input=rows,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["uploaded"] == 2
    assert "\x1b" not in process.stderr


def test_nothing_heavy_is_loaded_for_help() -> None:
    code = (
        "import sys, rdr_qdrant; from rdr_qdrant.cli.app import run; run(['ingest', '--help']);"
        "heavy = {'torch', 'transformers', 'qdrant_client', 'langchain_core', 'numpy'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert process.returncode == 0, process.stderr


def test_the_demo_shows_three_searches_and_the_recall_table(command: Command) -> None:
    outcome = command("demo")
    assert outcome.status == 0
    assert outcome.out.count("\n 1  ") == 3
    assert [title in outcome.out for title in ("Danube", "Agincourt", "Cherokee")] == [True] * 3
    assert "480 questions, 240 passages" in outcome.out
    assert "answer recall, %" in outcome.out


def test_xquad_has_the_reference_figures(command: Command, pair: list[str], xquad: Path) -> None:
    """Reference: an independent implementation of the same rules (see the data's NOTICE)."""
    options = ["-c", "x", "--model", "demo", "--json"]
    assert command("ingest", xquad / "passages.tsv", *options).json["points"] == 410
    found = command("eval", xquad / "questions.jsonl", *options).json
    assert found["questions"] == 1190
    assert found["recall"] == pytest.approx(XQUAD_RECALL, abs=0.2)
    # what equals this has its figures: the same questions as TSV, and the paragraphs in blocks
    rejects: list[Reject] = []
    lines, table = (
        list(read_questions(xquad / f"questions.{kind}", rejects.append))
        for kind in ("jsonl", "tsv")
    )
    assert lines == table
    assert not rejects
    split = ["ingest", xquad / "paragraphs.jsonl", "-c", "split", "--split", "100"]
    split += ["--split-by", "blocks", "--json"]
    assert command(*split, *pair).json["points"] == 410
    with closing(connect(path=DEFAULT_PATH)) as client:
        whole, blocks = (_texts(client, name) for name in ("x", "split"))
    assert len(whole) == 410
    assert whole == blocks


def _texts(client: QdrantClient, collection: str) -> list[tuple[str, str]]:
    """Title and text of every point, sorted; white space means nothing to encoder and matcher."""
    points, _ = client.scroll(collection, limit=1000)
    payloads = [point.payload or {} for point in points]
    return sorted(
        (one["metadata"]["title"], " ".join(one["page_content"].split())) for one in payloads
    )


def test_whole_sentences_find_more_than_blocks(command: Command, xquad: Path) -> None:
    """Paragraphs split by default: 11 points more at 1 than blocks of 100 words."""
    ingest = ["ingest", xquad / "paragraphs.jsonl", "-c", "s", "--split", "120"]
    loaded = command(*ingest, "--model", "demo", "--json").json
    assert (loaded["points"], loaded["truncated"]) == (284, 0)
    evaluate = ["eval", xquad / "questions.jsonl", "-c", "s", "-k", "1,5,20"]
    found = command(*evaluate, "--model", "demo", "--json").json
    expected = {"1": 88.07, "5": 98.57, "20": 99.33}
    assert found["recall"] == pytest.approx(expected, abs=0.2)


def test_int8_loses_hardly_any_recall(command: Command, xquad: Path) -> None:
    """0.08 points at most at any k; one question is as much."""
    pytest.importorskip("onnxruntime")
    options = ["-c", "x", "--model", "demo", "--precision", "int8", "--json"]
    assert command("ingest", xquad / "passages.tsv", *options).json["points"] == 410
    recall = command("eval", xquad / "questions.jsonl", *options).json["recall"]
    assert all(recall[k] > XQUAD_RECALL[k] - 0.2 for k in XQUAD_RECALL), recall


def test_bench_counts_and_shows_rejected_rows(
    command: Command, pair: list[str], tmp_path: Path
) -> None:
    (tmp_path / "p.jsonl").write_text('broken\n{"id": "1", "text": "river"}\n')
    outcome = command("bench", "p.jsonl", "--seconds", "0", "--json", *pair)
    assert (outcome.status, outcome.json["rejected"]) == (3, 1)
    assert "Rejected: 1 x not JSON" in outcome.err


def test_bench_says_how_fast_and_how_long(command: Command, pair: list[str], tsv: Path) -> None:
    options = ["bench", tsv, "--seconds", "0", "--count", "1k", *pair]
    found = command(*options, "--json").json
    assert found["passages"] == 1000
    expected = 1000 / found["passages_per_second"]
    assert found["seconds"] == pytest.approx(expected, rel=0.01, abs=0.1)
    assert (found["device"], found["precision"]) == ("cpu", "fp32")
    assert 0 < found["fraction_of_matrix_speed"] < 1
    assert "1,000 passages" in command(*options).out


def test_a_precision_that_is_not_known_is_wrong_usage(
    command: Command, pair: list[str], tsv: Path
) -> None:
    outcome = command("ingest", tsv, "-c", "c", "--precision", "fp8", *pair)
    assert outcome.status == 2
    [line] = outcome.errors
    assert "'fp8'" in line
    assert "fp16" in line


def test_the_precision_is_shown(
    command: Command, pair: list[str], tsv: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command("ingest", tsv, "-c", "c", "--precision", "bf16", *pair)
    assert command("info", "-c", "c", "--json").json["identity"]["precision"] == "bf16"
    assert "precision         bf16" in command("info", "-c", "c").out
    command("ingest", tsv, "-c", "c", *pair)
    assert "was encoded in precision bf16" in caplog.text


def test_search_shows_hits_with_their_neighbors(
    command: Command, pair: list[str], tmp_path: Path
) -> None:
    rows = tmp_path / "long.jsonl"
    text = " ".join(f"The king built city {number}." for number in range(12))
    rows.write_text(json.dumps({"id": "long", "text": text}) + "\n")
    splitting = ("--split", 10, "--overlap", 5)
    assert command("ingest", rows, "-c", "c", *splitting, *pair).status == 0
    searching = ("search", "which city?", "-c", "c", *pair)
    plain = command(*searching, "-k", 1, "--json").json
    [hit] = command(*searching, "-k", 1, "--neighbors", 50, "--json").json
    assert hit["text"] == text
    parts = [f"long#{number}" for number in range(1, 1 + len(hit["metadata"]["neighbors"]))]
    assert hit["metadata"] == {**plain[0]["metadata"], "neighbors": parts}
    assert [(hit["id"], hit["score"])] == [(one["id"], one["score"]) for one in plain]
    assert "city 0." in command(*searching, "-k", 1, "--neighbors", 50).out
    every = command(*searching, "-k", 50, "--neighbors", 1, "--json").json
    assert sorted(word for one in every for word in one["text"].split()) == sorted(text.split())
    assert command(*searching, "--neighbors", -1).status == 2
    assert "from 0 to 100" in command(*searching, "--neighbors", 101).err
