"""`evaluate`, compared with the reference implementation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdr_qdrant.errors import SourceError
from rdr_qdrant.evaluation import dpr_run, evaluate
from rdr_qdrant.evaluation.adaptive_batching import INITIAL_EXACT_BATCH
from rdr_qdrant.evaluation.answer_matcher import MatchType
from rdr_qdrant.readers import Question, Reject
from tests.evaluation.fake_searcher import FakeSearcher
from tests.evaluation.reference import (
    recall_of_run,
    reference_has_answer,
    reference_recall,
    reference_regex_match,
)

RIVERS = ["the Rhine", "the Danube", "the Volga"]


def questions(*answers: list[str]) -> list[Question]:
    return [Question(str(n), tuple(a), "q.tsv", n + 1) for n, a in enumerate(answers)]


words = st.text(st.sampled_from("aAbéİΣς.(*|1 \u200b\n\x00"), max_size=5)
rankings = st.lists(st.lists(words, max_size=6), min_size=1, max_size=8)


@given(rankings, st.data(), st.sampled_from(["string", "regex"]))
@settings(max_examples=200, deadline=None)
def test_report_and_run_file_agree_with_the_reference(
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
        report = evaluate(FakeSearcher(texts), asked, k=[1, 2, 5], match=match, writers=[write])
    found = list(zip(texts, answers, strict=True))
    assert report.recall == {k: reference_recall(found, k, match) for k in (1, 2, 5)}
    assert recall_of_run(path, [1, 2, 5], match) == {str(k): v for k, v in report.recall.items()}
    assert evaluate(FakeSearcher(texts), asked, k=[1, 2, 5], match=match).recall == report.recall
    contains = reference_regex_match if match == "regex" else reference_has_answer
    for entry, wanted in zip(json.loads(path.read_text()), answers, strict=True):
        for ctx in entry["ctxs"]:
            assert ctx["has_answer"] == contains(ctx["text"], wanted)


def test_unusable_answers_are_rejected_with_their_line() -> None:
    rejects: list[Reject] = []
    asked = questions(["\u200b"], ["rhine"], ["", "danube"])
    report = evaluate(FakeSearcher([RIVERS] * 3), asked, k=[2], on_reject=rejects.append)
    assert report.recall == {2: 66.67}
    assert [(r.source, r.line, r.reason) for r in rejects] == [
        ("q.tsv", 1, "an answer has no token"),
        ("q.tsv", 3, "an answer is empty"),
    ]
    assert rejects[0].row == {"question": "0", "answer": "\u200b"}


def test_an_invalid_pattern_is_rejected_and_evaluation_continues() -> None:
    rejects: list[Reject] = []
    report = evaluate(
        FakeSearcher([RIVERS] * 2),
        questions(["("], ["rh.ne"]),
        k=[1],
        match="regex",
        on_reject=rejects.append,
    )
    assert report.recall == {1: 50.0}
    assert [r.reason for r in rejects] == [
        "an answer is not a valid pattern: missing ) at position 1"
    ]


def test_requests_are_bounded_and_progress_is_reported() -> None:
    searcher = FakeSearcher([RIVERS] * 300)
    seen: list[int] = []
    asked = questions(*[["rhine"]] * 300)
    evaluate(searcher, iter(asked), k=[1, 100], on_progress=seen.append)
    assert seen == [128, 256, 300]
    assert searcher.requests == [(128, 100, False), (128, 100, False), (44, 100, False)]
    deep = FakeSearcher([RIVERS] * 3)
    evaluate(deep, questions(*[["rhine"]] * 3), k=[10_000])
    assert [n for n, _, _ in deep.requests] == [1, 1, 1]


def test_exact_search_starts_with_small_batches_and_grows() -> None:
    searcher = FakeSearcher([RIVERS] * 128)
    evaluate(searcher, questions(*[["rhine"]] * 128), k=[100], exact=True)
    assert INITIAL_EXACT_BATCH == 4
    assert searcher.requests == [(n, 100, True) for n in (4, 8, 16, 32, 64, 4)]


def test_batches_shrink_after_slow_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    searcher = FakeSearcher([RIVERS] * 128)
    clock = iter(range(0, 100_000, 11))
    monkeypatch.setattr(
        "rdr_qdrant.evaluation.adaptive_batching.time.monotonic", lambda: next(clock)
    )
    evaluate(searcher, questions(*[["rhine"]] * 13), k=[100], exact=True)
    assert [n for n, _, _ in searcher.requests] == [4, 2, 1, 1, 1, 1, 1, 1, 1]


def test_comparison_with_exact_search() -> None:
    through = [["the Rhine", "the Po"], ["the Po", "the Ob"], ["the Danube"], []]
    exact = [["the Rhine", "the Ob"], ["the Danube", "the Ob"], ["the Danube"], []]
    searcher = FakeSearcher(through, exact)
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
    assert {exact for _, _, exact in searcher.requests} == {True, False}


def test_overlap_ignores_the_order() -> None:
    searcher = FakeSearcher([["b", "a", "c", "d"]], [["a", "b", "x", "c"]])
    report = evaluate(searcher, questions(["a"]), k=[1, 2, 3, 4], compare_exact=True)
    assert report.exact is not None
    assert report.exact.overlap == {1: 0.0, 2: 100.0, 3: 66.67, 4: 75.0}


def test_exact_and_compare_exact_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        evaluate(FakeSearcher([]), [], exact=True, compare_exact=True)


def test_no_questions_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(SourceError, match="no readable questions"),
        dpr_run(tmp_path / "run.json") as write,
    ):
        evaluate(FakeSearcher([]), [], writers=[write])
    assert list(tmp_path.iterdir()) == []
