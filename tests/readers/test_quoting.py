"""Quoting of TSV and CSV: files without quoting, and rows that a stray quote merges."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from rdr_qdrant.readers import Reject, open_source, read_questions
from rdr_qdrant.readers.line_reader import Quoting


def read(path: Path, data: str, quoting: Quoting = "csv") -> tuple[dict[str, str], list[Reject]]:
    """Return texts by id, and rejects."""
    path.write_bytes(gzip.compress(data.encode()) if path.suffix == ".gz" else data.encode())
    rejects: list[Reject] = []
    source = open_source(path, quoting=quoting)
    return {passage.id: passage.text for passage in source.passages(rejects.append)}, rejects


@pytest.mark.parametrize("name", ["r.tsv", "r.tsv.gz"])
def test_without_quoting_a_quote_is_a_character(tmp_path: Path, name: str) -> None:
    data = (
        'id\ttext\ttitle\n1\t"Stay here.\tA "title"\n2\tI shall be back."\t"T"\n'
        '3\t"all quoted"\t""\n4\tinches: 3"\t\n'
    )
    assert read(tmp_path / name, data, "none") == (
        {
            "1": '"Stay here.',
            "2": 'I shall be back."',
            "3": '"all quoted"',
            "4": 'inches: 3"',
        },
        [],
    )


def test_without_quoting_every_line_is_a_row(tmp_path: Path) -> None:
    texts, [reject] = read(tmp_path / "r.csv", 'id,text\n1,"a, b"\n2,"c\n3,d"\n', "none")
    assert texts == {"2": '"c', "3": 'd"'}
    assert (reject.line, reject.reason) == (2, "has 3 fields, the header has 2")


def test_formats_without_quoting_ignore_the_option(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"id": 1, "text": "\\"a"}\n')
    assert next(open_source(path, quoting="none").passages(pytest.fail)).text == '"a'


MERGED = {
    "two rows": ("id\ttext", '1\t"Stay here.\n2\tI shall be back."'),
    "windows": ("id\ttext", '1\t"Stay here.\r\n2\tI shall be back."\r'),
    "three columns": ("id\ttext\ttitle", '1\t"Stay here.\tT\n2\tI shall be back."\tT'),
    "three rows": ("id\ttext\ttitle", '1\t"Stay.\tT\n2\tI shall.\tU\n30\tBack."\tT'),
    "ids last": ("text\ttitle\tid", '"Stay here.\tT\t1\nI shall be back."\tT\t2'),
    "title": ("id\ttext\ttitle", '1\tstay\t"Here\n2\tback\tThere"'),
    "id": ("id\ttext", '"1\tStay here.\n2"\tI shall be back.'),
    "named": ("id\ttext", 'doc-9\t"Stay here.\ndoc-10\tI shall be back."'),
    "uuids": (
        "id\ttext",
        '8f0c5a52-4f0e\t"Stay here.\n0b0c5affe-000e\tI shall be back."',
    ),
    "no ids": ("text\ttitle", '"Stay here.\tT\nI shall be back."\tT'),
    "csv": ("id,text,title", '1,"Stay here.,T\n2,I shall be back.",T'),
    "csv named": ("id,text", 'doc-9,"Stay here.\ndoc-10,I shall be back."'),
}


@pytest.mark.parametrize("case", MERGED)
def test_rows_that_a_stray_quote_merges_are_rejected(tmp_path: Path, case: str) -> None:
    header, rows = MERGED[case]
    delimiter = "," if case.startswith("csv") else "\t"
    columns = header.split(delimiter)
    after = delimiter.join({"id": "77", "text": "after", "title": "T"}[name] for name in columns)
    path = tmp_path / ("r.csv" if delimiter == "," else "r.tsv")
    texts, rejects = read(path, f"{header}\n{rows}\n{after}\n")
    assert list(texts.values()) == ["after"]
    assert len(rejects) == 1
    assert rejects[0].reason.startswith("a quoted field holds what looks like rows of this file")
    assert "--quoting none" in rejects[0].reason


QUOTED = {
    "plain": ("id\ttext", '1\t"one\ntwo"', "one\ntwo"),
    "tabs": (
        "id\ttext\ttitle",
        '1\t"one\ttwo\nthree\tfour\nfive"\tT',
        "one\ttwo\nthree\tfour\nfive",
    ),
    "one tab": ("id\ttext\ttitle", '1\t"one\ttwo\nthree"\tT', "one\ttwo\nthree"),
    "text first": ("text\tid", '"one\ntwo"\t1', "one\ntwo"),
    "text alone": ("text", '"one\ntwo"', "one\ntwo"),
    "words": ("id\ttext", '1\t"one\nDear Sir\ttwo"', "one\nDear Sir\ttwo"),
    "commas": ("id,text", '1,"Dear John,\nhello, world"', "Dear John,\nhello, world"),
    "numbers": ("id,text", '1,"of\n1,000 people"', "of\n1,000 people"),
    "years": ("id,text", '1,"in\n1984, Orwell"', "in\n1984, Orwell"),
    "letter": (
        "id,text,title",
        '1,"Dear all,\nyes, no, maybe,\nso",T',
        "Dear all,\nyes, no, maybe,\nso",
    ),
    "csv text first": ("text,title", '"Hello, you\nthere",T', "Hello, you\nthere"),
}


@pytest.mark.parametrize("case", QUOTED)
def test_line_breaks_within_quotes_are_read(tmp_path: Path, case: str) -> None:
    header, row, text = QUOTED[case]
    path = tmp_path / ("r.csv" if "," in header else "r.tsv")
    texts, rejects = read(path, f"{header}\n{row}\n")
    assert (list(texts.values()), rejects) == ([text], [])


def test_questions_that_a_stray_quote_merges_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "q.tsv"
    path.write_text("\"Stay?\t['a']\nBack\"?\t['b']\nlast?\t['c']\n")
    rejects: list[Reject] = []
    assert [q.text for q in read_questions(path, rejects.append)] == ['Back"?', "last?"]
    assert rejects[0].line == 1
    assert rejects[0].reason.startswith("a quoted field holds what looks like rows of this file")
    assert [q.text for q in read_questions(path, pytest.fail, quoting="none")] == [
        '"Stay?',
        'Back"?',
        "last?",
    ]
