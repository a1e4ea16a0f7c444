"""Regular expressions as answers, as DPR matches CuratedTREC's."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rdr_qdrant import answer_recall
from rdr_qdrant.evaluation.answer_matcher import MAX_PATTERN_ITEMS, RegexMatcher, expanded_size
from tests.evaluation.reference import reference_regex_match

ENDLESS = r"(a|aa)+\d"
ENDLESS_ON = "a" * 600


def found(text: str, *patterns: str) -> bool:
    return RegexMatcher(patterns).matches(text)


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
def test_patterns_match_anywhere_ignoring_case(text: str, pattern: str) -> None:
    assert found(text, pattern)
    assert reference_regex_match(text, [pattern])


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("Paris", "London"), ("one\ntwo", "one.two"), ("Paris", r"\bpari\b"), ("a.b", r"a\\.b")],
)
def test_other_patterns_do_not_match(text: str, pattern: str) -> None:
    assert not found(text, pattern)


@pytest.mark.parametrize(
    "pattern", ["(", "[a", "*", "a{2", r"\p{Foo}", "(?P<n>a)(?P=m)", "(" * 5000]
)
def test_an_invalid_pattern_never_matches_and_is_reported(pattern: str) -> None:
    answers = RegexMatcher([pattern, "danube"])
    if pattern == "a{2":  # a brace that is no repeat stands for itself
        assert answers.matches("A{2")
        return
    [unusable] = answers.unusable
    assert unusable.answer == pattern
    assert unusable.reason.startswith("an answer is not a valid pattern: ")
    assert not answers.matches(pattern)
    assert answers.matches("the Danube")
    assert answers.usable == ["danube"]


def test_an_endless_pattern_is_stopped_once() -> None:
    answers = RegexMatcher([ENDLESS, "danube"])
    assert not answers.matches(ENDLESS_ON)
    assert answers.matches(ENDLESS_ON + " Danube")
    assert not answers.matches(ENDLESS_ON)
    [unusable] = answers.unusable  # a second attempt would add it again
    assert unusable.reason == "an answer is a pattern that does not end within 1 s"


def test_recall_does_not_hang_on_an_endless_pattern(caplog: pytest.LogCaptureFixture) -> None:
    recall = answer_recall([[ENDLESS_ON] * 50, ["b"]], [[ENDLESS], ["B"]], k=[50], match="regex")
    assert recall == {50: 50.0}
    assert "Question 1: an answer is a pattern that does not end" in caplog.text


@pytest.mark.parametrize(
    "pattern", ["((a{1000}){1000}){1000}", "(?:(a)|b){1000000}", "a{99999999999}"]
)
def test_a_pattern_that_would_use_up_memory_is_not_compiled(pattern: str) -> None:
    answers = RegexMatcher([pattern])
    assert [unusable.reason for unusable in answers.unusable] == [
        "an answer is a pattern with too many repeats"
    ]
    assert not answers.matches("a" * 100)


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
def test_repeats_are_counted_as_if_expanded_size(pattern: str, items: int) -> None:
    assert expanded_size(pattern) == items


def test_curatedtrec_patterns_are_far_below_the_limit() -> None:
    pattern = r"(Feb(\.|ruary)?\s+\d{1,2},?\s+)?19[0-9]{2}|(?:one|two)\s*(million){1,3}"
    assert expanded_size(pattern) < MAX_PATTERN_ITEMS / 100


@pytest.mark.parametrize("answer", ["", " ", "\n", None, 3])
def test_blank_patterns_and_non_strings_are_unusable(answer: object) -> None:
    answers = RegexMatcher([answer])
    assert len(answers.unusable) == 1
    assert not answers.matches("a 3\n")


pieces = st.sampled_from(
    ["a", "b", "é", "e\u0301", "1", "A", r"\d", r"\b", "^", "$", "(", ")", "|"]
)
more = st.sampled_from(["[", "]", "*", "+", "?", ".", "{2}", "\n", " ", "İ", "Σ", "ς", "\\"])
patterns = st.lists(pieces | more, max_size=6).map("".join)
texts = st.text(st.sampled_from("abAeé\u0301İiΣσς1 \n."), max_size=12)


@given(texts, st.lists(patterns, max_size=3))
@settings(max_examples=500, deadline=None)
@example("\n", [" "])
def test_agrees_with_the_reference(text: str, answers: list[str]) -> None:
    assert found(text, *answers) == reference_regex_match(text, answers)
