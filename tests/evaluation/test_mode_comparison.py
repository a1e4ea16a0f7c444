"""Several modes over the same questions: a report for each, and counts over all of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Unpack

import pytest

from rdr_qdrant.collection import QueryOptions, Questions, ScoredPassage
from rdr_qdrant.evaluation import RankingEvaluation, evaluate, evaluate_modes, rank_modes
from rdr_qdrant.passages import point_id
from rdr_qdrant.readers import Question, Reject
from tests.evaluation.fake_searcher import FakeSearcher, id_of

MODES: dict[str, QueryOptions] = {
    "dense": {"k": 1, "mode": "dense"},
    "words": {"k": 1, "mode": "bm25"},
}
RANKINGS = {"dense": [["a", "b"], ["b", "a"]], "bm25": [["b", "a"], ["c", "b"]]}
ASKED = [Question("0", ("a", ""), "q.tsv", 1, "q0"), Question("1", ("a",), "q.tsv", 2, "q1")]


class TwoModes(FakeSearcher):
    """Finds other passages in each mode, in a collection that holds all but one."""

    def __init__(self) -> None:
        super().__init__([])

    def search_prepared(
        self, questions: Questions, **options: Unpack[QueryOptions]
    ) -> list[list[ScoredPassage]]:
        return FakeSearcher(RANKINGS[options["mode"]]).search_prepared(questions, **options)

    @property
    def collection(self) -> Any:
        held = {point_id(id_of(text)) for text in "abc"}
        points = SimpleNamespace(existing_ids=lambda ids: held.intersection(ids))
        return SimpleNamespace(name="wiki", info=lambda: None, points=points)


def test_each_mode_has_the_report_that_it_has_alone() -> None:
    searcher = TwoModes()
    reports = evaluate_modes(searcher, ASKED, MODES, k=[1, 2])
    assert list(reports) == ["dense", "words"]
    for mode, options in MODES.items():
        alone = evaluate(searcher, ASKED, k=[1, 2], options=options)
        assert (reports[mode].recall, reports[mode].first_hits) == (alone.recall, alone.first_hits)
    assert reports["dense"].recall == {1: 50.0, 2: 100.0}
    assert reports["words"].recall == {1: 0.0, 2: 50.0}


def test_progress_is_over_all_modes_and_an_answer_is_rejected_once() -> None:
    done: list[int] = []
    rejects: list[Reject] = []
    evaluate_modes(TwoModes(), ASKED, MODES, on_reject=rejects.append, on_progress=done.append)
    assert done == [2, 4]
    assert [reject.reason for reject in rejects] == ["an answer is empty"]


def test_the_rankings_of_a_mode_are_measured_without_those_of_the_one_before() -> None:
    qrels = {"q0": {id_of("a"): 1, "gone": 1}, "q1": {id_of("a"): 1}}
    ranking = RankingEvaluation(qrels, [1, 2])
    asked = ranking.select_questions([*ASKED, Question("0", (), id="other")])
    done: list[int] = []
    reports = rank_modes(TwoModes(), asked, MODES, ranking, on_progress=done.append)
    assert done == [2, 4]
    assert {mode: list(one.per_question["mrr@10"]) for mode, one in reports.items()} == {
        "dense": [1, 0.5],
        "words": [0.5, 0],
    }
    for report in reports.values():
        assert (report.missing_documents, report.unjudged_questions) == (1, 1)
        assert report.seconds is not None


def test_a_run_from_a_file_has_no_duration() -> None:
    ranking = RankingEvaluation({"q": {"a": 1}}, [1, 2])
    ranking.add_run({"q": {"b": 2.0, "a": 1.0}, "x": {"a": 1.0}})
    report = ranking.report()
    assert (report.measures["mrr@10"], report.measures["recall@1"]) == (pytest.approx(0.5), 0)
    assert (report.seconds, report.missing_documents, report.unjudged_questions) == (None, None, 1)
