"""Ranking measures, compared with ir-measures on run files and with the obvious formulas."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, R, nDCG

from rdr_qdrant import Passage
from rdr_qdrant.collection import Collection, ScoredPassage
from rdr_qdrant.errors import SourceError
from rdr_qdrant.evaluation import QuestionResult, RankingEvaluation, evaluate, trec_run
from rdr_qdrant.readers import Qrels, Question, Run, read_trec_run
from tests.evaluation.fake_searcher import FakeSearcher, id_of

documents = st.text("ab7-é", min_size=1, max_size=3)
scores = st.sampled_from([-1.5, 0.1, 0.30000001, 0.3, 2.0, 16777216.0, 16777217.0])
questions = st.sampled_from(["q1", "q2", "7", "ü"])


@given(
    qrels=st.dictionaries(
        questions,
        st.dictionaries(documents, st.integers(-1, 3), min_size=1, max_size=8),
        min_size=1,
    ),
    run=st.dictionaries(questions, st.dictionaries(documents, scores, max_size=25)),
)
@settings(max_examples=150, deadline=None)
def test_measures_are_those_of_ir_measures_on_the_written_run(
    tmp_path_factory: pytest.TempPathFactory, qrels: Qrels, run: Run
) -> None:
    """Scores often tie, also as 32-bit floats only; the passages come in the collection's order."""
    path = tmp_path_factory.getbasetemp() / "run"
    found = RankingEvaluation(qrels, [1, 5, 20])
    asked = [Question(name, (), id=name) for name in run]
    if not qrels.keys() & run.keys():
        with pytest.raises(SourceError, match="has qrels|no readable questions"):
            found.select_questions(asked)
        return
    with trec_run(path, "tag") as write:
        for number, question in enumerate(found.select_questions(asked), start=1):
            ranked = sorted(run[question.id].items(), key=lambda hit: (-hit[1], hit[0]))
            hits = [ScoredPassage(score, Passage(name, "text")) for name, score in ranked]
            result = QuestionResult(number, "?", [], hits, [False] * len(hits), question.id)
            write(result)
            found(result)
    names = {
        nDCG @ 10: "ndcg@10",
        RR @ 10: "mrr@10",
        AP: "map",
        R @ 1: "recall@1",
        R @ 5: "recall@5",
        R @ 20: "recall@20",
    }
    expected = ir_measures.calc_aggregate(
        list(names), qrels, list(ir_measures.read_trec_run(str(path)))
    )
    report = found.report()
    assert report.measures == pytest.approx({names[m]: v for m, v in expected.items()}, abs=1e-6)
    assert report.missing_questions == len(qrels.keys() - run.keys())
    assert report.unjudged_questions == len(run.keys() - qrels.keys())
    if path.stat().st_size:
        again = RankingEvaluation(qrels, [1, 5, 20])
        again.add_run(read_trec_run(path))
        assert again.report().measures == report.measures


def test_measures_are_those_of_the_formulas() -> None:
    qrels = {
        "1": {id_of("a"): 2, id_of("b"): 1, id_of("x"): 1, id_of("c"): 0},
        "0": {id_of("e"): 1},
        "2": {id_of("z"): 1},
    }
    rankings = [[*(f"n{n}" for n in range(10)), "e"], ["c", "b", "d", "a"]]
    found = RankingEvaluation(qrels, [1, 2, 4])
    asked = [Question("0", (), id="0"), Question("1", (), id="1"), Question("1", (), id="other")]
    chosen = found.select_questions(asked)
    evaluate(FakeSearcher(rankings), chosen, k=[found.depth + 1], writers=[found])
    report = found.report()
    gain = 1 / math.log2(3) + 2 / math.log2(5)
    ideal = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert {name: list(values) for name, values in report.per_question.items()} == {
        "ndcg@10": pytest.approx([gain / ideal, 0, 0]),
        "mrr@10": pytest.approx([1 / 2, 0, 0]),
        "map": pytest.approx([(1 / 2 + 2 / 4) / 3, 1 / 11, 0]),
        "recall@1": pytest.approx([0, 0, 0]),
        "recall@2": pytest.approx([1 / 3, 0, 0]),
        "recall@4": pytest.approx([2 / 3, 0, 0]),
    }
    assert report.measures["mrr@10"] == pytest.approx(1 / 6)
    assert (report.questions, report.missing_questions, report.unjudged_questions) == (3, 1, 1)
    assert report.remarks() == [
        "Questions of the qrels that were not asked, each counting as 0: 1 of 3.",
        "Questions without qrels, left out: 1.",
    ]


def test_ids_may_be_percent_encoded_in_the_qrels_or_not() -> None:
    """TREC's files hold no white space, and ids of documents' parts often have some."""
    hits = [ScoredPassage(2.0, Passage("100% wool#1", "text"))]
    for judged in ("100% wool#1", "100%25%20wool#1"):
        found = RankingEvaluation({"q": {judged: 1}}, [1])
        found(QuestionResult(1, "?", [], hits, [False], "q"))
        assert found.report().measures["recall@1"] == 1
        found = RankingEvaluation({"a q": {judged: 1}}, [1])
        found.add_run({"a%20q": {"100%25%20wool#1": 2.0}})
        assert found.report().measures["recall@1"] == 1


def test_documents_that_the_collection_does_not_hold_are_counted() -> None:
    class Points:
        def existing_ids(self, ids: list[object]) -> set[object]:
            return {1, 2, 3} & set(ids)

    collection = cast("Collection", SimpleNamespace(name="wiki", points=Points(), info=list))
    found = RankingEvaluation({"q": {"1": 1, "x": 0}, "r": {"%33": 1, "x": 1, "y z": 1}})
    found.check_documents(collection)
    report = found.report()
    assert (report.missing_documents, report.documents) == (2, 4)
    assert "Documents of the qrels that the collection does not hold: 2 of 4." in report.remarks()
    with pytest.raises(SourceError, match="'wiki' holds none of the 1 documents .* such as '7'"):
        RankingEvaluation({"q": {"7": 1}}).check_documents(collection)


def test_a_run_of_other_questions_is_refused() -> None:
    with pytest.raises(SourceError, match="None of the 1 questions has qrels.*'x'; .*'q'"):
        RankingEvaluation({"q": {"a": 1}}).add_run({"x": {"a": 1.0}})


def test_a_missing_package_is_named_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(SourceError, match=r"needs ir-measures: pip install .*\[ranking\]"):
        RankingEvaluation({"q": {"a": 1}})


def test_the_run_file_names_questions_by_id_or_by_number(tmp_path: Path) -> None:
    hits = [ScoredPassage(1.0, Passage("1", "text"))]
    with trec_run(tmp_path / "run", "tag") as write:
        write(QuestionResult(1, "?", [], hits, [False]))
        write(QuestionResult(2, "?", [], hits, [False], "a q"))
    lines = (tmp_path / "run").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["1", "a%20q"]
