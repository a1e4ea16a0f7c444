"""`rdr-qdrant eval`, as a person at a terminal uses it."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.evaluation.reference import recall_of_run

ROWS = "id\ttext\ttitle\n1\tthe river is in the north\triver\nk 2\tthe king built the city\tking\n"
QUESTIONS = "who?\t['King']\nwhere?\t['nowhere', '']\n"


@pytest.fixture
def loaded(command: Command, pair: list[str], tmp_path: Path) -> list[str]:
    """Options that name a collection of two passages; `q.tsv` holds two questions."""
    (tmp_path / "passages.tsv").write_text(ROWS)
    (tmp_path / "q.tsv").write_text(QUESTIONS)
    assert command("ingest", "passages.tsv", "-c", "c", *pair).status == 0
    return ["-c", "c", *pair]


def test_everything_at_once(command: Command, loaded: list[str], tmp_path: Path) -> None:
    files = ["--output", "run.json", "--trec", "run.trec", "--plot", "recall.svg"]
    outcome = command("eval", "q.tsv", "-k", "1,2", "--compare-exact", *files, *loaded, "--json")
    assert outcome.status == 3
    assert "Rejected: 1 x an answer is empty (first: q.tsv, line 2)" in outcome.err
    report = outcome.json
    assert (report["questions"], report["recall"]["2"]) == (2, 50.0)
    assert report["compare_exact"]["overlap"] == {"1": 100.0, "2": 100.0}
    assert report["compare_exact"]["difference"] == {"1": 0.0, "2": 0.0}
    assert recall_of_run(tmp_path / "run.json", [1, 2]) == report["recall"]
    run = json.loads(Path("run.json").read_text())
    assert [entry["answers"] for entry in run] == [["King"], ["nowhere"]]
    assert {ctx["id"] for ctx in run[0]["ctxs"]} == {"1", "k 2"}
    lines = Path("run.trec").read_text().splitlines()
    assert [len(line.split()) for line in lines] == [6] * 4
    assert [line.split()[0] for line in lines] == ["1", "1", "2", "2"]
    assert any(" Q0 k%202 " in line for line in lines)
    assert "passages looked at, k" in Path("recall.svg").read_text()


def test_patterns(command: Command, loaded: list[str], tmp_path: Path) -> None:
    (tmp_path / "trec.csv").write_text("who?\t['k.ng\\\\s+BUILT']\nwhat?\t['(']\n")
    found = command("eval", "trec.csv", "-k", "2", "--match", "regex", *loaded, "--json")
    assert found.json["recall"] == {"2": 50.0}
    assert (
        "1 x an answer is not a valid pattern (first: trec.csv, line 2: missing ) at position 1)"
        in found.err
    )
    assert found.status == 3
    plain = command("eval", "trec.csv", "-k", "2", *loaded, "--json")
    assert plain.json["recall"] == {"2": 0.0}


def test_a_published_row_of_a_pair_that_has_none_is_missed_plainly(
    command: Command, loaded: list[str]
) -> None:
    outcome = command("eval", "q.tsv", "-k", "1,2", "--published", "trivia-test", *loaded)
    assert "are published for trivia-test; there are some of rdr-single-trivia" in outcome.err
    assert "published" not in outcome.out
    found = command("eval", "q.tsv", "--published", "trivia-test", *loaded, "--json").json
    assert found["published"]["data"] == "trivia-test"
    assert found["published"]["recall"] is None


def test_the_published_row_and_the_baseline_stand_beside_the_measured(
    command: Command, loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the hub out of reach, the tiny pair stands in for the named one."""
    from rdr_qdrant import RDREmbeddings
    from rdr_qdrant.registry import PAIRS

    monkeypatch.setattr(RDREmbeddings, "pair", property(lambda _: PAIRS["rdr-single-trivia"]))
    outcome = command("eval", "q.tsv", "-k", "1,2,5", "--published", "trivia-test", *loaded)
    assert [line.split() for line in outcome.out.splitlines()][2:] == [
        ["published,", "rdr-single-trivia", "62.56", "-", "75.92"],
        ["difference", *outcome.out.splitlines()[3].split()[1:]],
        ["baseline,", "dpr-single-trivia", "54.41", "-", "70.99"],
    ]
    assert "trivia-test has 11,313 questions, but 2 were asked" in outcome.err


def test_what_the_index_loses_is_a_table(command: Command, loaded: list[str]) -> None:
    shown = command("eval", "q.tsv", "-k", "1", "--compare-exact", *loaded).out
    assert "beside exact search" in shown
    assert "passages of exact search found, %  100.00" in shown


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--output", "missing/run.json"], 1, "there is no folder missing. Make it."),
        (["--trec", "missing/run"], 1, "there is no folder missing"),
        (["--plot", "missing/r.png"], 1, "there is no folder missing"),
        (["--output", "q.tsv"], 2, "q.tsv is an input and would be overwritten"),
        (["--trec", "./q.tsv"], 2, "q.tsv is an input"),
        (["--output", "x", "--trec", "x"], 2, "x is given as an output twice"),
        (["--output", "."], 1, "is not a regular file"),
        (["--plot", "r.pdf"], 2, "--plot r.pdf: the name must end in .png or .svg"),
        (["--published", "squad"], 2, "'squad'. Known: trivia-dev, trivia-test, nq-dev, nq-test."),
        (["--exact", "--compare-exact"], 2, "leave one out"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_runs(
    command: Command, tmp_path: Path, options: list[str], status: int, message: str
) -> None:
    (tmp_path / "q.tsv").write_text(QUESTIONS)
    outcome = command("eval", "q.tsv", "-c", "c", *options)
    assert outcome.status == status
    [line] = outcome.errors
    assert message in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["q.tsv"]
    assert (tmp_path / "q.tsv").read_text() == QUESTIONS


def test_an_unknown_way_of_matching_is_wrong_usage(command: Command) -> None:
    assert command("eval", "q.tsv", "-c", "c", "--match", "fuzzy").status == 2


def test_no_matplotlib_is_told_before_anything_runs(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (tmp_path / "q.tsv").write_text(QUESTIONS)
    outcome = command("eval", "q.tsv", "-c", "c", "--plot", "r.png")
    assert outcome.status == 1
    assert outcome.errors == [
        "Error: Drawing r.png needs matplotlib: pip install -c constraints.txt -e '.[plot]' "
        "in a clone, or pip install 'rdr-qdrant[plot]'."
    ]
    assert not (tmp_path / "qdrant_data").exists()


def test_an_interrupted_run_leaves_no_file_and_spoils_none(
    command: Command, loaded: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "run.json").write_text("before")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("rdr_qdrant.searcher.PassageSearcher.search_prepared", interrupt)
    outcome = command("eval", "q.tsv", "--output", "run.json", "--trec", "t", *loaded)
    assert outcome.status == 130
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "run.json").read_text() == "before"


def test_the_run_of_real_questions_gives_the_same_figures_when_evaluated_again(
    command: Command, xquad: Path, tmp_path: Path
) -> None:
    """A part of XQuAD, to the last digit; the figures of the whole are another test's."""
    for name, count in (("passages.tsv", 81), ("questions.tsv", 200)):
        with (xquad / name).open(encoding="utf-8", newline="") as whole:
            (tmp_path / name).write_text("".join(islice(whole, count)), encoding="utf-8")
    assert command("ingest", "passages.tsv", "-c", "x", "--model", "demo").status == 0
    options = ["-c", "x", "-k", "1,2,5,20,50", "--output", "run.json", "--json"]
    recall = command("eval", "questions.tsv", *options).json["recall"]
    assert 50 < recall["1"] < recall["5"] < 100
    assert recall_of_run(tmp_path / "run.json", [1, 2, 5, 20, 50]) == recall
