"""Answer recall@k."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdr_qdrant import answer_recall
from rdr_qdrant.evaluation.recall import first_hit, percent_at

TEXTS = ["The Rhine rises in the Alps.", "The Danube ends in the Black Sea.", "Alps again"]


@pytest.mark.parametrize(
    ("answers", "index"),
    [
        (["alps"], 0),
        (["Black Sea"], 1),
        (["again", "danube"], 1),
        (["Volga"], None),
        (["alp"], None),
        ([], None),
        ([""], None),
    ],
)
def test_first_hit_is_the_best_rank_of_any_answer(answers: list[str], index: int | None) -> None:
    assert first_hit(TEXTS, answers) == index


def test_nothing_retrieved_is_no_hit() -> None:
    assert first_hit([], ["alps"]) is None


def test_texts_after_the_first_hit_are_not_read() -> None:
    def texts() -> Iterator[str]:
        yield "nothing"
        yield "the Alps"
        raise AssertionError("looked past the hit")

    assert first_hit(texts(), ["alps"]) == 1


def test_answers_may_come_from_an_iterator() -> None:
    assert first_hit(TEXTS, iter(["Volga", "Black Sea"])) == 1


def test_a_hit_counts_at_every_depth_beyond_its_index() -> None:
    assert percent_at([0, 1, 4, None], [1, 2, 4, 5]) == {1: 25.0, 2: 50.0, 4: 50.0, 5: 75.0}


def test_percentages_have_two_decimals() -> None:
    assert percent_at([0, None, None], [1]) == {1: 33.33}
    assert percent_at([0, 0, None], [1]) == {1: 66.67}
    assert percent_at([0] * 5464 + [None] * 3373, [1]) == {1: 61.83}


def test_no_questions_are_zero_percent() -> None:
    assert percent_at([], [1, 5]) == {1: 0.0, 5: 0.0}


def test_answer_recall_of_a_small_collection() -> None:
    retrieved = [TEXTS, TEXTS, TEXTS, []]
    answers = [["alps"], ["Black Sea"], ["Volga"], ["alps"]]
    assert answer_recall(retrieved, answers, k=[1, 2, 100]) == {1: 25.0, 2: 50.0, 100: 50.0}


def test_a_question_without_answers_counts_as_not_found() -> None:
    assert answer_recall([TEXTS, TEXTS], [["alps"], []], k=[3]) == {3: 50.0}


def test_default_depths_are_those_of_the_model_cards() -> None:
    filler = ["no"] * 19
    found = answer_recall([[*filler, "yes"]], [["yes"]])
    assert found == {1: 0.0, 5: 0.0, 20: 100.0, 50: 100.0, 100: 100.0}


def test_depths_keep_their_order() -> None:
    assert list(answer_recall([TEXTS], [["alps"]], k=[20, 1, 5])) == [20, 1, 5]


def test_questions_and_answers_may_be_iterators() -> None:
    assert answer_recall(iter([TEXTS]), iter([["alps"]]), k=[1]) == {1: 100.0}


@pytest.mark.parametrize(
    ("retrieved", "answers"), [([TEXTS], []), ([], [["a"]]), ([TEXTS], [["a"], ["b"]])]
)
def test_unequal_numbers_of_questions_and_answers_are_refused(
    retrieved: list[list[str]], answers: list[list[str]]
) -> None:
    with pytest.raises(ValueError, match="zip"):
        answer_recall(retrieved, answers)


@pytest.mark.parametrize("k", [[0], [5, -1]])
def test_a_depth_below_one_is_refused(k: list[int]) -> None:
    with pytest.raises(ValueError, match=f"at least 1, not {min(k)}"):
        answer_recall([TEXTS], [["alps"]], k=k)


words = st.sampled_from("a b c d ab".split())
rankings = st.lists(st.tuples(st.lists(words, max_size=6), st.lists(words, max_size=2)), min_size=1)


@given(rankings, st.integers(1, 8))
@settings(deadline=None)
def test_recall_is_the_share_of_questions_with_an_answer_among_their_first_k(
    questions: list[tuple[list[str], list[str]]], k: int
) -> None:
    found = [any(text in answers for text in texts[:k]) for texts, answers in questions]
    retrieved, answers = [q[0] for q in questions], [q[1] for q in questions]
    expected = round(100 * sum(found) / len(found), 2)
    assert answer_recall(retrieved, answers, k=[k]) == {k: expected}


@given(rankings)
@settings(deadline=None)
def test_recall_never_falls_with_depth(questions: list[tuple[list[str], list[str]]]) -> None:
    retrieved, answers = [q[0] for q in questions], [q[1] for q in questions]
    values = list(answer_recall(retrieved, answers, k=range(1, 9)).values())
    assert values == sorted(values)
