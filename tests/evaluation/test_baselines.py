"""Published figures, and the table that compares them with measured ones."""

from __future__ import annotations

import pytest

from rdr_qdrant.errors import UsageError
from rdr_qdrant.evaluation import published_figures, recall_table
from rdr_qdrant.registry import PAIRS, PUBLISHED_QUESTIONS


def test_rows_of_a_pair_and_its_baseline() -> None:
    found = published_figures(PAIRS["rdr-single-nq"], "nq-test")
    assert found.rows == [
        ("published, rdr-single-nq", {1: 54.29, 5: 72.16, 20: 82.8, 50: 86.34, 100: 88.2}),
        ("baseline, dpr-single-nq", {1: 45.87, 5: 68.14, 20: 79.97, 100: 85.87}),
    ]
    assert found.remarks(3610) == []
    assert found.to_json()["baseline_recall"] == {"1": 45.87, "5": 68.14, "20": 79.97, "100": 85.87}


def test_every_published_data_set_is_known_and_every_baseline_is_a_pair() -> None:
    assert {data for pair in PAIRS.values() for data in pair.published} == set(PUBLISHED_QUESTIONS)
    assert {name: pair.baseline for name, pair in PAIRS.items() if pair.baseline} == {
        "rdr-single-trivia": "dpr-single-trivia",
        "rdr-single-nq": "dpr-single-nq",
    }


def test_missing_figures_are_remarked() -> None:
    assert published_figures(PAIRS["demo"], "nq-dev").remarks() == [
        "No figures of demo are published for nq-dev; there are some of rdr-single-nq."
    ]
    assert published_figures(PAIRS["rdr-single-nq"], "nq-dev").remarks() == [
        "No figures of the baseline dpr-single-nq are published for nq-dev."
    ]
    assert published_figures(PAIRS["rdr-single-trivia"], "nq-test").rows == []


def test_another_number_of_questions_is_not_comparable() -> None:
    [remark] = published_figures(PAIRS["rdr-single-trivia"], "trivia-test").remarks(100)
    assert remark == (
        "Not directly comparable: trivia-test has 11,313 questions, but 100 were asked."
    )


def test_an_unknown_data_set_lists_the_known() -> None:
    with pytest.raises(
        UsageError, match="'squad'. Known: trivia-dev, trivia-test, nq-dev, nq-test"
    ):
        published_figures(PAIRS["demo"], "squad")


def test_the_table_has_the_depths_that_were_measured_and_the_difference() -> None:
    rows = published_figures(PAIRS["rdr-single-nq"], "nq-test").rows
    header, table = recall_table({1: 54.3, 10: 77.0, 50: 86.0}, rows)
    assert header == ["answer recall, %", "@1", "@10", "@50"]
    assert table == [
        ["measured", "54.30", "77.00", "86.00"],
        ["published, rdr-single-nq", "54.29", "-", "86.34"],
        ["  difference", "+0.01", "-", "-0.34"],
        ["baseline, dpr-single-nq", "45.87", "-", "-"],
    ]


def test_without_published_figures_the_table_is_one_line() -> None:
    assert recall_table({1: 50.0}) == (["", "@1"], [["answer recall, %", "50.00"]])
