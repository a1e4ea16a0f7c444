from __future__ import annotations

import pytest

from rdr_qdrant.errors import ModelError
from rdr_qdrant.registry import PAIRS, resolve_pair


@pytest.mark.parametrize(
    ("written", "meant"),
    [("rdr-single-triva", "rdr-single-trivia"), ("Demo", "demo"), ("dpr-multi", "dpr-multiset")],
)
def test_a_misspelt_name_is_answered_by_the_nearest(written: str, meant: str) -> None:
    with pytest.raises(ModelError, match=f"Unknown model '{written}'. Did you mean {meant}\\?"):
        resolve_pair(written)


def test_the_default_pair_is_rdr_on_triviaqa() -> None:
    pair = resolve_pair()
    assert pair.name == "rdr-single-trivia"
    assert pair.context_encoder == "soheeyang/rdr-ctx_encoder-single-trivia-base"
    assert pair.question_encoder == "soheeyang/rdr-question_encoder-single-trivia-base"
    assert pair.published["trivia-test"] == {1: 62.56, 5: 75.92, 20: 82.52, 50: 85.64, 100: 87.26}


def test_every_named_pair_has_two_different_encoders() -> None:
    assert list(PAIRS) == [
        "rdr-single-trivia",
        "rdr-single-nq",
        "dpr-single-trivia",
        "dpr-single-nq",
        "dpr-multiset",
        "demo",
    ]
    for pair in PAIRS.values():
        if pair.name != "demo":
            assert "ctx_encoder" in pair.context_encoder
            assert pair.question_encoder == pair.context_encoder.replace(
                "ctx_encoder", "question_encoder"
            )


def test_two_ids_are_a_pair_without_a_name() -> None:
    pair = resolve_pair(context_encoder="a/ctx", question_encoder="a/q")
    assert (pair.name, pair.label) == (None, "a/ctx + a/q")


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ModelError, match=r"'nope'. Known: rdr-single-trivia, .*demo"):
        resolve_pair("nope")


def test_half_a_pair_is_refused() -> None:
    with pytest.raises(ModelError, match="context encoder a was given without a question encoder"):
        resolve_pair(context_encoder="a")
    with pytest.raises(ModelError, match="question encoder b was given without a context encoder"):
        resolve_pair(question_encoder="b")


def test_a_name_together_with_encoders_is_refused() -> None:
    with pytest.raises(ModelError, match="leave one of them out"):
        resolve_pair("demo", context_encoder="a", question_encoder="b")
