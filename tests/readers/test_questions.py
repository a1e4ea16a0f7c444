"""Questions with their answers: JSON Lines and DPR's two columns."""

from __future__ import annotations

import csv
import gzip
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers import Question, Reject, read_questions

NOT_A_LITERAL = "the answers are not a Python list such as ['Paris']"
A_STRING = 'the answers are a string, not a list: write ["Paris"]'
NO_LIST = 'no list of answers, such as "answers": ["Paris"]'


@pytest.fixture(autouse=True)
def csv_limit_of_a_fresh_process() -> Iterator[None]:
    before = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(before)


def read(path: Path) -> tuple[list[Question], list[tuple[int, str]]]:
    rejected: list[Reject] = []
    questions = list(read_questions(path, rejected.append))
    assert {row.source for row in rejected} <= {str(path)}
    return questions, [(row.line, row.reason) for row in rejected]


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["q.tsv", "q.csv", "q.qa.csv", "q.tsv.gz", "q.csv.gz", "Q.CSV"])
def test_dprs_two_columns(tmp_path: Path, name: str) -> None:
    data = (
        b"who sings, really?\t['Adele']\n"
        b'which "one" is it?\t"[\'a ""quoted"" one\', ""it\'s""]"\r\n'
        b"tuple?\t('a', 'b')\n"
        b"\n"
        b'"what\tis\nthis?"\t["x"]\n'
    )
    assert read(written(tmp_path / name, data)) == (
        [
            Question("who sings, really?", ("Adele",)),
            Question('which "one" is it?', ('a "quoted" one', "it's")),
            Question("tuple?", ("a", "b")),
            Question("what\tis\nthis?", ("x",)),
        ],
        [],
    )


@pytest.mark.parametrize("name", ["q.jsonl", "q.jsonl.gz"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    data = (
        b'\xef\xbb\xbf{"question": "one?", "answers": ["a", "\\u00fc"], "id": 7}\n'
        b"\n"
        b'{"answers": ["b"], "question": "two?"}'
    )
    assert read(written(tmp_path / name, data)) == (
        [Question("one?", ("a", "ü")), Question("two?", ("b",))],
        [],
    )


def test_a_byte_order_mark_is_not_part_of_the_first_question(tmp_path: Path) -> None:
    path = written(tmp_path / "q.tsv", b"\xef\xbb\xbfq?\t['a']\n")
    assert read(path) == ([Question("q?", ("a",))], [])


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (b"Paris", NOT_A_LITERAL),
        (b"", NOT_A_LITERAL),
        (b"['a'", NOT_A_LITERAL),
        (b"__import__('os').getcwd()", NOT_A_LITERAL),
        (b"[x for x in 'ab']", NOT_A_LITERAL),
        (b"['a' + 'b']", NOT_A_LITERAL),
        (b"f'{1}'", NOT_A_LITERAL),
        (b"[-'a']", NOT_A_LITERAL),
        (b"[{[]}]", NOT_A_LITERAL),
        (b"{[]: 1}", NOT_A_LITERAL),
        (b"['\\x']", NOT_A_LITERAL),
        (b"[1,\x00]", NOT_A_LITERAL),
        (b"9" * 5000, NOT_A_LITERAL),
        (b"(" * 1000, NOT_A_LITERAL),
        (b"-" * 100_000 + b"1", NOT_A_LITERAL),
        (b"1" + b"+1" * 60_000, NOT_A_LITERAL),
        (b"'Paris'", A_STRING),
        (b"5", NO_LIST),
        (b"None", NO_LIST),
        (b"{'a': 1}", NO_LIST),
        (b"{'a'}", NO_LIST),
        (b"['\\ud800']", "not valid UTF-8"),
        (b"['a']\tmore", "has 3 tab-separated fields, not 2"),
    ],
)
def test_a_row_that_cannot_be_used_is_rejected_alone(
    tmp_path: Path, column: bytes, reason: str
) -> None:
    path = written(tmp_path / "q.tsv", b"one?\t['a']\ntwo?\t" + column + b"\nthree?\t['c']\n")
    assert read(path) == (
        [Question("one?", ("a",)), Question("three?", ("c",))],
        [(2, reason)],
    )


@pytest.mark.parametrize("name", ["q.tsv", "q.jsonl"])
def test_questions_may_be_in_utf_16(tmp_path: Path, name: str) -> None:
    data = '{"question": "größer?", "answers": ["a"]}' if name == "q.jsonl" else "größer?\t['a']\n"
    path = written(tmp_path / name, data.encode("utf-16"))
    assert read(path) == ([Question("größer?", ("a",))], [])


@pytest.mark.parametrize("data", [b"q?\t['\xff']\n", b"\xe9?\t['a']\n"])
def test_a_row_that_is_not_utf_8_is_rejected(tmp_path: Path, data: bytes) -> None:
    questions, rejected = read(written(tmp_path / "q.tsv", data))
    assert (questions, len(rejected)) == ([], 1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"answers": ["a"]}', "no question"),
        (b'{"question": "", "answers": ["a"]}', "no question"),
        (b'{"question": " \\n", "answers": ["a"]}', "no question"),
        (b'{"question": 5, "answers": ["a"]}', "no question"),
        (b'{"question": "q?"}', NO_LIST),
        (b'{"question": "q?", "answers": null}', NO_LIST),
        (b'{"question": "q?", "answers": "Paris"}', A_STRING),
        (b'{"question": "q?", "answers": {"a": 1}}', NO_LIST),
        (b'{"question": "\\ud800", "answers": ["a"]}', "not valid UTF-8"),
        (b'{"question": "q?", "answers": ["\\udfff"]}', "not valid UTF-8"),
        (b'["q?"]', "not a JSON object"),
    ],
)
def test_a_json_line_that_cannot_be_used_is_rejected_alone(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    before, after = (b'{"question": "%s", "answers": ["x"]}' % name for name in (b"1?", b"2?"))
    path = written(tmp_path / "q.jsonl", b"\n".join([before, line, after]))
    assert read(path) == ([Question("1?", ("x",)), Question("2?", ("x",))], [(2, reason)])


def test_a_question_keeps_the_answers_that_can_be_looked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "q.tsv", b"q?\t['', 'a', 5, ' ', None, b'b', 'c', ['d']]\n")
    assert read(path) == (
        [Question("q?", ("a", "c"))],
        [
            (1, "an answer is empty"),
            (1, "an answer is not a string"),
            (1, "an answer is empty"),
            (1, "an answer is not a string"),
            (1, "an answer is not a string"),
            (1, "an answer is not a string"),
        ],
    )


def test_a_question_without_an_answer_is_kept_and_reported(tmp_path: Path) -> None:
    path = written(tmp_path / "q.tsv", b"one?\t[]\ntwo?\t['']\n")
    assert read(path) == (
        [Question("one?", ()), Question("two?", ())],
        [(1, "no answer, counts as not found"), (2, "an answer is empty")],
    )


def test_a_question_that_begins_with_a_stray_quote_costs_no_other(tmp_path: Path) -> None:
    rows = b"".join(b"question %d?\t['a']\n" % number for number in range(3))
    path = written(tmp_path / "q.tsv", rows + b"\"stray?\t['a']\n" + rows)
    questions, rejected = read(path)
    assert [q.text for q in questions if "stray" not in q.text] == [
        "question 0?",
        "question 1?",
        "question 2?",
    ] * 2
    assert len(questions) + len(rejected) == 7


def test_a_quoted_title_at_the_beginning_of_a_question_is_read_as_dpr_reads_it(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "q.tsv", b"\"Hello\" is by whom?\t['Adele']\n")
    assert read(path) == ([Question("Hello is by whom?", ("Adele",))], [])


def test_a_field_beyond_the_csv_modules_limit_is_no_crash(tmp_path: Path) -> None:
    many = repr(["an answer"] * 20_000).encode()
    path = written(tmp_path / "q.tsv", b"one?\t" + many + b"\ntwo?\t['b']\n")
    questions, rejected = read(path)
    assert questions[-1] == Question("two?", ("b",))
    assert len(questions) + len(rejected) == 2


def test_an_unclosed_quote_before_a_long_rest_is_no_crash(tmp_path: Path) -> None:
    rest = b"question?\t['a']\n" * 10_000
    questions, rejected = read(written(tmp_path / "q.tsv", b"one?\t['a']\n\"two?\t['b']\n" + rest))
    assert questions[0] == Question("one?", ("a",))
    assert len(rejected) >= 1


def test_an_answer_with_a_backslash_raises_no_warning(tmp_path: Path) -> None:
    path = written(tmp_path / "q.tsv", b"who?\t['AC\\DC']\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(path) == ([Question("who?", ("AC\\DC",))], [])


def test_questions_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = written(tmp_path / "q.tsv", b"one?\t['a']\ntwo?\t5\n")
    rejected: list[Reject] = []
    assert next(read_questions(path, rejected.append)) == Question("one?", ("a",))
    assert rejected == []


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("q.txt", b"q?\t['a']\n", "unknown extension for questions"),
        ("q.json", b"[]", "unknown extension for questions"),
        ("q.parquet", b"PAR1", "unknown extension for questions"),
        ("q", b"q", "unknown extension for questions"),
        ("q.tsv", b"", "is empty"),
    ],
)
def test_a_file_that_holds_no_questions_is_refused_at_once(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        read_questions(written(tmp_path / name, data), print)


def test_a_file_that_is_not_there_or_a_directory_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read_questions(tmp_path / "none.tsv", print)
    with pytest.raises(SourceError, match="is not a file"):
        read_questions(tmp_path, print)


@pytest.mark.parametrize("name", ["q.tsv.gz", "q.jsonl.gz"])
def test_a_damaged_file_raises_source_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"q?\t['a']\n" * 100)[:-12])
    with pytest.raises(SourceError, match="truncated or damaged"):
        list(read_questions(tmp_path / name, lambda row: None))


def test_a_header_is_no_question(tmp_path: Path) -> None:
    """DPR's files have none, but who writes a file by hand may."""
    path = tmp_path / "questions.tsv"
    path.write_text("question\tanswers\nWho?\t['Goethe']\nquestion\tanswers\n")
    rejects: list[Reject] = []
    assert [one.text for one in read_questions(path, rejects.append)] == ["Who?"]
    assert [one.line for one in rejects] == [3]
