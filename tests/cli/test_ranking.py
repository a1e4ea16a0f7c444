"""`rdr-qdrant eval` by relevance judgments, as a person at a terminal uses it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import ir_measures
import pytest
from ir_measures import AP, RR, R, nDCG

from tests.cli.conftest import Command

TEXTS = ["the river is in the north", "the king built the city", "music was great"]
MEASURES = {nDCG @ 10: "ndcg@10", RR @ 10: "mrr@10", AP: "map", R @ 5: "recall@5"}


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """A BEIR folder of 40 passages with three texts, so that most scores tie."""
    folder = tmp_path / "tiny-set"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{n}", "title": "", "text": TEXTS[n % 3]} for n in range(40)]
    queries = [{"_id": f"q{n}", "text": text} for n, text in enumerate([*TEXTS, "who?"])]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = [(f"q{n % 3}", f"d{7 * n % 40}", n % 3) for n in range(30)]
    rows = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in judged)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n")
    return folder


def measured(qrels: Path, run: Path) -> dict[str, float]:
    """The measures of a run as ir-measures computes them."""
    rows = [line.split("\t") for line in qrels.read_text().splitlines()[1:]]
    judgments = [ir_measures.Qrel(q, d, int(r)) for q, d, r in rows]
    results = list(ir_measures.read_trec_run(str(run)))
    found = ir_measures.calc_aggregate(list(MEASURES), judgments, results)
    return {MEASURES[measure]: value for measure, value in found.items()}


def test_a_beir_folder_is_loaded_and_measured_as_it_is(
    command: Command, pair: list[str], data_set: Path, tmp_path: Path
) -> None:
    loaded = command("ingest", "tiny-set", "-c", "c", "--json", *pair)
    assert (loaded.status, loaded.json["points"]) == (0, 40)
    options = ["-c", "c", "-k", "1,5", *pair]
    found = command("eval", "tiny-set", *options, "--trec", "run.txt", "--json")
    assert found.status == 0
    report = found.json
    assert report["questions"] == 3
    assert report["unjudged_questions"] == 1
    assert (report["missing_questions"], report["missing_documents"]) == (0, 0)
    assert "Note: Questions without qrels, left out: 1." in found.err
    expected = measured(data_set / "qrels" / "test.tsv", tmp_path / "run.txt")
    assert {name: report[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert 0 < expected["ndcg@10"] < 1
    again = command("eval", "tiny-set", "--run", "run.txt", "-k", "1,5", "--json").json
    assert {name: again[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert (again["missing_documents"], "recall" in report) == (None, False)
    shown = command("eval", "tiny-set", *options)
    header, row = shown.out.splitlines()
    assert header.split() == ["nDCG@10", "MRR@10", "MAP", "R@1", "R@5"]
    assert row.split()[0] == f"{expected['ndcg@10']:.4f}"


def test_what_qrels_and_collection_do_not_share_is_counted(
    command: Command, pair: list[str], data_set: Path
) -> None:
    missing = command("eval", data_set, "-c", "c", *pair)
    assert (missing.status, missing.errors[0][:24]) == (1, "Error: No collection 'c'")
    assert command("ingest", data_set, "-c", "c", *pair).status == 0
    Path("dev.txt").write_text("q0 0 d0 1\nq0 0 gone 1\nq9 0 d1 1\n")
    found = command("eval", data_set, "--qrels", "dev.txt", "-c", "c", "--json", *pair)
    assert found.status == 0
    assert [line for line in found.err.splitlines() if line.startswith("Note: ")] == [
        "Note: Questions of the qrels that were not asked, each counting as 0: 1 of 2.",
        "Note: Documents of the qrels that the collection does not hold: 1 of 3.",
        "Note: Questions without qrels, left out: 3.",
    ]
    assert found.json["missing_documents"] == 1
    Path("other.txt").write_text("q0 0 gone 1\n")
    refused = command("eval", data_set, "--qrels", "other.txt", "-c", "c", *pair)
    assert refused.status == 1
    assert "Collection 'c' holds none of the 1 documents of the qrels" in refused.errors[0]


@pytest.mark.parametrize("seed", range(5))
def test_runs_of_ones_own_are_measured_as_by_ir_measures(
    command: Command, seed: int, tmp_path: Path
) -> None:
    """Random runs with many ties; neither a collection nor an encoder is needed."""
    chance = random.Random(seed)
    judged = {(f"q{chance.randrange(20)}", f"d{chance.randrange(60)}") for _ in range(150)}
    rows = ["query-id\tcorpus-id\tscore"]
    rows += [f"{q}\t{d}\t{chance.randrange(3)}" for q, d in sorted(judged)]
    Path("qrels.tsv").write_text("\n".join(rows))
    lines = [
        f"q{question} Q0 d{document} {rank} {chance.choice((0.5, 1.25, 1.5, 3))} own"
        for question in range(2, 22)
        for rank, document in enumerate(chance.sample(range(60), 30), start=1)
    ]
    chance.shuffle(lines)
    Path("run.txt").write_text("\n".join(lines))
    found = command("eval", "--qrels", "qrels.tsv", "--run", "run.txt", "-k", "5", "--json")
    assert found.status == 0
    expected = measured(tmp_path / "qrels.tsv", tmp_path / "run.txt")
    assert {name: found.json[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert not (tmp_path / "qdrant_data").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "Missing argument 'QUESTIONS'."),
        (["q.jsonl"], 2, "Missing option '--collection' / '-c'."),
        (["--run", "run.txt"], 2, "--run is measured by qrels: name them with --qrels FILE."),
        (["q.jsonl", "--qrels", "q.txt", "-c", "c", "--plot", "a.svg"], 2, "--plot is for"),
        (["q.jsonl", "--qrels", "q.txt", "-c", "c", "--match", "regex"], 2, "--match is for"),
        (["q.jsonl", "--qrels", "q.txt", "-c", "c", "--trec", "q.txt"], 2, "q.txt is an input"),
        (["--run", "run.txt", "--qrels", "q.txt", "-c", "c"], 2, "--collection has no effect"),
        (["q.jsonl", "--run", "run.txt", "--qrels", "q.txt"], 2, "QUESTIONS has no effect"),
        (["--run", "run.txt", "--qrels", "q.txt", "--exact"], 2, "--exact has no effect"),
        (["--run", "run.txt", "--qrels", "q.txt", "--no-rescore"], 2, "--no-rescore has no"),
        (["--run", "run.txt", "--qrels", "q.txt", "--model", "demo"], 2, "--model has no"),
        (["--run", "none.txt", "--qrels", "q.txt"], 1, "No such file: none.txt"),
        (["--run", "run.txt", "--qrels", "run.txt"], 1, "run.txt, line 1: has 6 columns, not 4"),
        (["q.tsv", "--qrels", "q.txt", "-c", "c"], 1, "other formats have no ids"),
        (["q.jsonl", "--qrels", "q.txt", "-c", "c"], 1, "None of the 1 questions has qrels"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    command: Command, tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    Path("q.txt").write_text("q1 0 d1 1\n")
    Path("run.txt").write_text("q1 Q0 d1 1 0.5 tag\n")
    Path("q.jsonl").write_text('{"_id": "other", "text": "who?"}\n')
    Path("q.tsv").write_text("who?\t['me']\n")
    outcome = command("eval", *arguments)
    assert outcome.status == status
    [line] = outcome.errors
    assert message in line
    assert not (tmp_path / "qdrant_data").exists()
