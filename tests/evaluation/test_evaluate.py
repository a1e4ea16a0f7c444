"""Whole runs over questions, against the obvious implementation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdr_qdrant.errors import SourceError
from rdr_qdrant.evaluation import dpr_run, evaluate
from rdr_qdrant.evaluation.adaptive_batching import EXACT_AT_FIRST
from rdr_qdrant.evaluation.answer_matcher import MatchType
from rdr_qdrant.readers import Question, Reject
from tests.evaluation.obvious import (
    obvious_recall,
    obviously_has_answer,
    obviously_matches,
    recall_of_run,
)
from tests.evaluation.searching import Ranked

RIVERS = ["the Rhine", "the Danube", "the Volga"]


def questions(*answers: list[str]) -> list[Question]:
    return [Question(str(n), tuple(a), "q.tsv", n + 1) for n, a in enumerate(answers)]


words = st.text(st.sampled_from("aAbéİΣς.(*|1 \u200b\n\x00"), max_size=5)
rankings = st.lists(st.lists(words, max_size=6), min_size=1, max_size=8)


@given(rankings, st.data(), st.sampled_from(["string", "regex"]))
@settings(max_examples=200, deadline=None)
def test_a_run_and_its_file_give_what_the_obvious_implementation_gives(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[list[str]],
    data: st.DataObject,
    match: MatchType,
) -> None:
    answers = data.draw(
        st.lists(st.lists(words, max_size=3), min_size=len(texts), max_size=len(texts))
    )
    path = tmp_path_factory.getbasetemp() / "run.json"
    asked = questions(*answers)
    with dpr_run(path) as write:
        report = evaluate(Ranked(texts), asked, k=[1, 2, 5], match=match, writers=[write])
    found = list(zip(texts, answers, strict=True))
    assert report.recall == {k: obvious_recall(found, k, match) for k in (1, 2, 5)}
    assert recall_of_run(path, [1, 2, 5], match) == {str(k): v for k, v in report.recall.items()}
    assert evaluate(Ranked(texts), asked, k=[1, 2, 5], match=match).recall == report.recall
    contains = obviously_matches if match == "regex" else obviously_has_answer
    for entry, wanted in zip(json.loads(path.read_text()), answers, strict=True):
        for ctx in entry["ctxs"]:
            assert ctx["has_answer"] == contains(ctx["text"], wanted)


def test_answers_that_cannot_be_looked_for_are_reported_with_their_line() -> None:
    rejects: list[Reject] = []
    asked = questions(["\u200b"], ["rhine"], ["", "danube"])
    report = evaluate(Ranked([RIVERS] * 3), asked, k=[2], on_reject=rejects.append)
    assert report.recall == {2: 66.67}
    assert [(r.source, r.line, r.reason) for r in rejects] == [
        ("q.tsv", 1, "an answer has no token to look for"),
        ("q.tsv", 3, "an answer is empty"),
    ]
    assert rejects[0].row == {"question": "0", "answer": "\u200b"}


def test_an_invalid_pattern_is_reported_and_the_run_goes_on() -> None:
    rejects: list[Reject] = []
    report = evaluate(
        Ranked([RIVERS] * 2),
        questions(["("], ["rh.ne"]),
        k=[1],
        match="regex",
        on_reject=rejects.append,
    )
    assert report.recall == {1: 50.0}
    assert [r.reason for r in rejects] == [
        "an answer is not a valid pattern: missing ) at position 1"
    ]


def test_questions_are_asked_in_batches_of_bounded_size_and_progress_is_told() -> None:
    searcher = Ranked([RIVERS] * 300)
    seen: list[int] = []
    asked = questions(*[["rhine"]] * 300)
    evaluate(searcher, iter(asked), k=[1, 100], on_progress=seen.append)
    assert seen == [128, 256, 300]
    assert searcher.asked == [(128, 100, False), (128, 100, False), (44, 100, False)]
    deep = Ranked([RIVERS] * 3)
    evaluate(deep, questions(*[["rhine"]] * 3), k=[10_000])
    assert [n for n, _, _ in deep.asked] == [1, 1, 1]


def test_exact_search_begins_small_and_grows_while_it_is_quick() -> None:
    searcher = Ranked([RIVERS] * 128)
    evaluate(searcher, questions(*[["rhine"]] * 128), k=[100], exact=True)
    assert EXACT_AT_FIRST == 4
    assert searcher.asked == [(n, 100, True) for n in (4, 8, 16, 32, 64, 4)]


def test_requests_shrink_where_they_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    searcher = Ranked([RIVERS] * 128)
    clock = iter(range(0, 100_000, 11))
    monkeypatch.setattr(
        "rdr_qdrant.evaluation.adaptive_batching.time.monotonic", lambda: next(clock)
    )
    evaluate(searcher, questions(*[["rhine"]] * 13), k=[100], exact=True)
    assert [n for n, _, _ in searcher.asked] == [4, 2, 1, 1, 1, 1, 1, 1, 1]


def test_comparing_with_exact_search_tells_overlap_and_recall() -> None:
    through = [["the Rhine", "the Po"], ["the Po", "the Ob"], ["the Danube"], []]
    exact = [["the Rhine", "the Ob"], ["the Danube", "the Ob"], ["the Danube"], []]
    searcher = Ranked(through, exact)
    asked = questions(["rhine"], ["danube"], ["danube"], ["danube"])
    report = evaluate(searcher, asked, k=[1, 2], compare_exact=True)
    assert report.recall == {1: 50.0, 2: 50.0}
    assert report.exact is not None
    assert report.exact.recall == {1: 75.0, 2: 75.0}
    assert report.exact.difference == {1: -25.0, 2: -25.0}
    assert report.exact.overlap == {1: 75.0, 2: 75.0}
    assert report.to_json()["compare_exact"] == {
        "overlap": {"1": 75.0, "2": 75.0},
        "recall": {"1": 75.0, "2": 75.0},
        "difference": {"1": -25.0, "2": -25.0},
    }
    assert {exact for _, _, exact in searcher.asked} == {True, False}


def test_overlap_is_of_passages_and_not_of_their_order() -> None:
    searcher = Ranked([["b", "a", "c", "d"]], [["a", "b", "x", "c"]])
    report = evaluate(searcher, questions(["a"]), k=[1, 2, 3, 4], compare_exact=True)
    assert report.exact is not None
    assert report.exact.overlap == {1: 0.0, 2: 100.0, 3: 66.67, 4: 75.0}


def test_there_is_nothing_to_compare_where_the_search_is_exact() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        evaluate(Ranked([]), [], exact=True, compare_exact=True)


def test_no_question_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(SourceError, match="no question that can be read"),
        dpr_run(tmp_path / "run.json") as write,
    ):
        evaluate(Ranked([]), [], writers=[write])
    assert list(tmp_path.iterdir()) == []
