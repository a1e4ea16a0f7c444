"""Answers that are patterns, as DPR matches CuratedTREC's."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rdr_qdrant import answer_recall
from rdr_qdrant.evaluation.regex_matcher import MOST_ITEMS, PatternAnswers, written_out
from tests.evaluation.obvious import obviously_matches

ENDLESS = r"(a|aa)+\d"
ENDLESS_ON = "a" * 600


def found(text: str, *patterns: str) -> bool:
    return PatternAnswers(patterns).found_in(text)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("He was born in PARIS.", "paris"),
        ("He was born in 1954.", r"19\s?5[0-9]"),
        ("in Parisian cafes", "Paris"),
        ("one\nMount Everest\ntwo", "^mount everest$"),
        ("cafe\u0301", "caf\u00e9"),
        ("caf\u00e9", "cafe\u0301"),
        ("caf\u00e9", "cafe"),
        ("ΟΔΟΣ", "οδος"),
        ("3,000 miles", r"3(,)?000\s*miles"),
        ("anything", "x*"),
    ],
)
def test_a_pattern_is_searched_anywhere_whatever_the_case(text: str, pattern: str) -> None:
    assert found(text, pattern)
    assert obviously_matches(text, [pattern])


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("Paris", "London"), ("one\ntwo", "one.two"), ("Paris", r"\bpari\b"), ("a.b", r"a\\.b")],
)
def test_what_does_not_match_is_not_found(text: str, pattern: str) -> None:
    assert not found(text, pattern)


@pytest.mark.parametrize(
    "pattern", ["(", "[a", "*", "a{2", r"\p{Foo}", "(?P<n>a)(?P=m)", "(" * 5000]
)
def test_an_invalid_pattern_is_no_hit_and_is_told(pattern: str) -> None:
    answers = PatternAnswers([pattern, "danube"])
    if pattern == "a{2":  # a brace that is no repeat stands for itself
        assert answers.found_in("A{2")
        return
    [unusable] = answers.unusable
    assert unusable.answer == pattern
    assert unusable.reason.startswith("an answer is not a valid pattern: ")
    assert not answers.found_in(pattern)
    assert answers.found_in("the Danube")
    assert answers.usable == ["danube"]


def test_a_pattern_that_never_ends_is_given_up_once_and_costs_no_other() -> None:
    answers = PatternAnswers([ENDLESS, "danube"])
    started = time.monotonic()
    assert not answers.found_in(ENDLESS_ON)
    assert answers.found_in(ENDLESS_ON + " Danube")
    assert not answers.found_in(ENDLESS_ON)
    assert time.monotonic() - started < 3
    [unusable] = answers.unusable
    assert unusable.reason == "an answer is a pattern that does not end within 1 s"


def test_recall_does_not_hang_on_an_endless_pattern(caplog: pytest.LogCaptureFixture) -> None:
    recall = answer_recall([[ENDLESS_ON] * 50, ["b"]], [[ENDLESS], ["B"]], k=[50], match="regex")
    assert recall == {50: 50.0}
    assert "Question 1: an answer is a pattern that does not end" in caplog.text


@pytest.mark.parametrize(
    "pattern", ["((a{1000}){1000}){1000}", "(?:(a)|b){1000000}", "a{99999999999}"]
)
def test_a_pattern_that_would_take_all_memory_is_not_compiled(pattern: str) -> None:
    answers = PatternAnswers([pattern])
    assert [unusable.reason for unusable in answers.unusable] == [
        "an answer is a pattern whose repeats are too many"
    ]
    assert not answers.found_in("a" * 100)


@pytest.mark.parametrize(
    ("pattern", "items"),
    [
        ("abc", 3),
        (r"\d{4}-\d{2}-\d{2}", 10),
        ("[()]{3}", 3),
        (r"\({5}", 5),
        ("(ab){10}", 30),
        ("((a{10}){10}){10}", 1110),
        ("a{3,}b{2,9}", 5),
        ("a{x}", 4),
        ("[]a]{2}", 2),
        ("(((", 0),
        (")))", 3),
    ],
)
def test_repeats_are_counted_as_if_written_out(pattern: str, items: int) -> None:
    assert written_out(pattern) == items


def test_trecs_own_kind_of_pattern_is_far_from_the_limit() -> None:
    pattern = r"(Feb(\.|ruary)?\s+\d{1,2},?\s+)?19[0-9]{2}|(?:one|two)\s*(million){1,3}"
    assert written_out(pattern) < MOST_ITEMS / 100


@pytest.mark.parametrize("answer", ["", " ", "\n", None, 3])
def test_blank_patterns_and_what_is_no_string_do_not_count(answer: object) -> None:
    answers = PatternAnswers([answer])
    assert len(answers.unusable) == 1
    assert not answers.found_in("a 3\n")


pieces = st.sampled_from(
    ["a", "b", "é", "e\u0301", "1", "A", r"\d", r"\b", "^", "$", "(", ")", "|"]
)
more = st.sampled_from(["[", "]", "*", "+", "?", ".", "{2}", "\n", " ", "İ", "Σ", "ς", "\\"])
patterns = st.lists(pieces | more, max_size=6).map("".join)
texts = st.text(st.sampled_from("abAeé\u0301İiΣσς1 \n."), max_size=12)


@given(texts, st.lists(patterns, max_size=3))
@settings(max_examples=500, deadline=None)
@example("\n", [" "])
def test_it_decides_as_the_obvious_implementation_does(text: str, answers: list[str]) -> None:
    assert found(text, *answers) == obviously_matches(text, answers)
