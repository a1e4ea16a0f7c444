"""Relevance judgments in two formats, and runs."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers import read_qrels, read_trec_run

Write = Callable[[str, str | bytes], Path]
EXPECTED = {"q1": {"a": 1, "b c": 0}, "q2": {"a": 2}}

TREC = "q1 0 a 1\nq1 0 b%20c 0\n\nq2\t0\ta\t2\n"
BEIR = "query-id\tcorpus-id\tscore\r\nq1\ta\t1\r\nq1\tb c\t0\r\nq2\ta\t2.0\r\n"


@pytest.mark.parametrize("name", ["dev.tsv", "qrels.txt", "qrels.tsv.gz"])
def test_the_content_tells_the_format(write: Write, name: str) -> None:
    def written(text: str) -> Path:
        data = text.encode("utf-8-sig")
        return write(name, gzip.compress(data) if name.endswith(".gz") else data)

    assert read_qrels(written(BEIR)) == EXPECTED
    assert read_qrels(written(TREC)) == {"q1": {"a": 1, "b%20c": 0}, "q2": {"a": 2}}


def test_columns_of_beir_are_found_by_name_and_fields_may_be_quoted(write: Write) -> None:
    rows = 'score\tcorpus-id\tmore\tquery-id\n-1\t"5"" disk"\t\tq\n'
    assert read_qrels(write("q.tsv", rows)) == {"q": {'5" disk': -1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q 0 d 1\n\nq d 1\n", "line 3: has 3 columns, not 4. Qrels are TREC's four columns"),
        ("query-id\tcorpus-id\nq\td\n", "line 1: has 2 columns, not 4"),
        ("query-id\tcorpus-id\tscore\nq\td\n", "line 2: has 2 columns, fewer than the header"),
        ("q 0 d x\n", "line 1: the relevance 'x' is not a whole number"),
        ("q 0 d 0.5\n", "the relevance '0.5' is not a whole number"),
        ("q 0 d nan\n", "the relevance 'nan' is not a whole number"),
        ("q 0 d 2147483647\n", "the relevance 2147483647 is beyond 1,000,000"),
        ("q 0 d 1\nq 0 d 2\n", "line 2: another number for q and d"),
        (b"q 0 \xff 1\n", "line 1: not valid UTF-8"),
        ("query-id\tcorpus-id\tscore\n", "holds no judgments"),
        ("\n \n", "holds no judgments"),
    ],
)
def test_qrels_that_would_give_wrong_figures_are_refused(
    write: Write, text: str | bytes, message: str
) -> None:
    with pytest.raises(SourceError) as raised:
        read_qrels(write("q.tsv", text))
    assert message in str(raised.value)
    assert "q.tsv" in str(raised.value)


def test_the_same_judgment_twice_is_no_contradiction(write: Write) -> None:
    assert read_qrels(write("q", "q 0 d 1\nq 0 d 1\n")) == {"q": {"d": 1}}


def test_a_run_is_read_by_its_scores(write: Write) -> None:
    rows = "q1 Q0 a 2 1.5 tag\nq2 Q0 a 1 -1e3 tag\nq1 Q0 b 1 7 tag\n"
    assert read_trec_run(write("run", rows)) == {"q1": {"a": 1.5, "b": 7.0}, "q2": {"a": -1000.0}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q Q0 a 1 1\n", "line 1: has 5 columns, not 6. A run has TREC's six columns"),
        ("q Q0 a 1 nan t\n", "the score 'nan' is not a finite number"),
        ("q Q0 a 1 1 t\nq Q0 a 2 0 t\n", "line 2: another number for q and a"),
        ("\n", "holds no results"),
    ],
)
def test_a_run_with_a_wrong_line_is_refused(write: Write, text: str, message: str) -> None:
    with pytest.raises(SourceError) as raised:
        read_trec_run(write("run", text))
    assert message in str(raised.value)
