"""DPR's string matching of answers, compared with the reference implementation."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rdr_qdrant.evaluation.answer_matcher import StringMatcher, token_form
from tests.evaluation.reference import reference_has_answer, reference_tokens

LETTERS = "aAbBiIİıjßẞſsSΣσςςÀéÉǅÅKΩﬁжЖ한中हिन्दीไทยאָبﷺ"
MARKS = "\u0301\u0307\u0327\u0323\u093f\u20dd\ufe0f"
NUMBERS = "09٣५Ⅷ²½㊷"
SINGLES = ".,'’\"-–—_/$€+^`©😀🏽。¿٪\ufffd"
NOTHING = "\x00\x01\x1f\x7f\x85\u200b\u200c\u200d\u2060\ufeff\xad\ue000\ud800"
SEPARATORS = " \t\n\r\xa0\u2003\u2028\u2029\u3000"
ALPHABET = LETTERS + MARKS + NUMBERS + SINGLES + NOTHING + SEPARATORS

texts = st.text(st.sampled_from(ALPHABET), max_size=40)
crowded = st.text(st.sampled_from("aAİi\u0307Σςσ1. \x00\u200b"), max_size=30)
short = st.text(st.sampled_from("aAİi\u0307Σςσ1. \x00\u200b"), max_size=4)


def has_answer(text: str, answers: list[str]) -> bool:
    return StringMatcher(answers).matches(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("He was born in Paris, France.", "Paris"),
        ("He was born in Paris, France.", "paris , FRANCE"),
        ("He was born in Paris, France.", "."),
        ("Paris", "Paris"),
        ("caf\u00e9", "cafe\u0301"),
        ("cafe\u0301", "CAF\u00c9"),
        ("\u212bngstr\u00f6m", "A\u030angstro\u0308m"),
        ("\u1e9b\u0323", "\u017f\u0323\u0307"),
        ("İstanbul", "i\u0307stanbul"),
        ("ΟΔΟΣ", "οδος"),
        ("ΟΔΟΣ.Α", "οδος"),
        ("ΟΔΟΣ'Α", "ΟΔΟΣ"),
        ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
        ("in 1,000 years", "1,000"),
        ("the U.S. Army", "U. S."),
        ("rock'n'roll", "rock ' n ' roll"),
        ("$5m", "$ 5m"),
        ("one\u200btwo", "one two"),
        ("soft\xadhyphen", "soft hyphen"),
        ("a\x00b", "a b"),
        ("a\u3000b", "a\xa0b"),
        ("हिन्दी में", "हिन्दी"),
        ("x² + y", "x² +"),
        ("thumbs 👍🏽 up", "👍🏽"),
    ],
)
def test_a_contiguous_run_of_tokens_matches(text: str, answer: str) -> None:
    assert has_answer(text, [answer])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Parisian cafes", "Paris"),
        ("comparison", "paris"),
        ("New old York", "New York"),
        ("York New", "New York"),
        ("New York", "New York City"),
        ("1000", "100"),
        ("1,000", "1000"),
        ("U.S.", "US"),
        ("rock-n-roll", "rock n roll"),
        ("cafe", "café"),
        ("café", "cafe"),
        ("İstanbul", "istanbul"),
        ("Straße", "Strasse"),
        ("ﬁnd", "find"),
        ("x²", "x2"),
        ("ΟΔΟΣ", "οδοσ"),
        ("one\u200btwo", "onetwo"),
        ("two words", "twowords"),
        ("snake_case", "snake case"),
        ("", "a"),
    ],
)
def test_similar_text_does_not_match(text: str, answer: str) -> None:
    assert not has_answer(text, [answer])


def test_one_of_several_answers_is_enough() -> None:
    assert has_answer("the Iron Gates", ["Donau", "iron gates"])
    assert not has_answer("the Iron Gates", ["Donau", "iron gate"])


def test_no_answers_never_match() -> None:
    assert not has_answer("anything", [])


@pytest.mark.parametrize("answer", ["", " ", "\n", "\u200b", "\x00", "\xad", "\u3000\ufeff"])
@pytest.mark.parametrize("text", ["", "some text", "\x00", "a\x00b"])
def test_an_answer_without_a_token_never_matches(text: str, answer: str) -> None:
    answers = StringMatcher([answer])
    assert (answers.usable, [unusable.answer for unusable in answers.unusable]) == ([], [answer])
    assert not answers.matches(text)


def test_an_answer_without_a_token_does_not_hide_the_others() -> None:
    assert has_answer("the Danube", ["", "\u200b", "danube"])


def test_unusable_answers_have_reasons() -> None:
    answers = StringMatcher(["Paris", "", "\u200b", None, 7])
    assert answers.usable == ["Paris"]
    assert {(unusable.answer, unusable.reason) for unusable in answers.unusable} == {
        ("", "an answer is empty"),
        ("\u200b", "an answer has no token"),
        (None, "an answer is not a string"),
        (7, "an answer is not a string"),
    }
    assert answers.matches("in Paris")
    assert not answers.matches("in 7 None")


def test_a_single_string_is_refused() -> None:
    with pytest.raises(TypeError, match="must be a list of strings, not the string 'Paris'"):
        StringMatcher("Paris")


def test_token_forms_differ_if_the_tokens_do() -> None:
    assert len({token_form("ab"), token_form("a b"), token_form("b a"), token_form("")}) == 4


@given(texts, st.lists(st.text(st.sampled_from(ALPHABET), max_size=5), max_size=4))
@settings(max_examples=300, deadline=None)
@example("a\x00b", ["a\x00b"])
@example("Σ", ["Σ\u0301"])
def test_agrees_with_the_reference(text: str, answers: list[str]) -> None:
    assert has_answer(text, answers) == reference_has_answer(text, answers)


@given(crowded, st.lists(short, max_size=3))
@settings(max_examples=300, deadline=None)
def test_agrees_with_the_reference_on_near_misses(text: str, answers: list[str]) -> None:
    assert has_answer(text, answers) == reference_has_answer(text, answers)


@given(texts, st.data())
@settings(max_examples=200, deadline=None)
def test_substrings_agree_with_the_reference(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    answer = text[start:end].swapcase()
    assert has_answer(text, [answer]) == reference_has_answer(text, [answer])


@given(texts)
@settings(deadline=None)
def test_a_text_matches_itself_in_both_normal_forms(text: str) -> None:
    for form in ("NFC", "NFD"):
        assert has_answer(text, [unicodedata.normalize(form, text)]) == bool(reference_tokens(text))


@given(texts, texts)
@settings(deadline=None)
def test_token_forms_are_equal_exactly_if_the_tokens_are(one: str, other: str) -> None:
    assert (token_form(one) == token_form(other)) == (
        reference_tokens(one) == reference_tokens(other)
    )
