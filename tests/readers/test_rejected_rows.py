"""Rows that cannot be used: rejected with line and reason, and no other row with them."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers import Reject, jsonlines, line_reader, open_source


def read(path: Path) -> tuple[list[str], list[tuple[int, str]]]:
    """The texts, and line and reason of each reject; together they are all rows that were seen."""
    rejected: list[Reject] = []
    source = open_source(path)
    texts = [passage.text for passage in source.passages(rejected.append)]
    assert {row.source for row in rejected} <= {str(path)}
    assert source.records_read == len(texts) + len(rejected)
    return texts, [(row.line, row.reason) for row in rejected]


def table(tmp_path: Path, data: bytes, name: str = "r.tsv") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def json_lines(tmp_path: Path, *lines: bytes) -> Path:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def parquet(tmp_path: Path, **columns: Any) -> Path:
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{}", "no text"),
        (b'{"text": null}', "no text"),
        (b'{"text": ""}', "text is empty"),
        (b'{"text": " \\n\\u3000"}', "text is empty"),
        (b'{"text": 5}', "text is a number, not a string"),
        (b'{"text": ["a"]}', "text is a list, not a string"),
        (b'{"text": {"a": 1}}', "text is an object, not a string"),
        (b'{"text": true}', "text is true or false, not a string"),
        (b'{"text": "a", "title": 5}', "title is a number, not a string"),
        (b'{"text": "a", "title": ["T"]}', "title is a list, not a string"),
        (b'{"text": "a", "id": 1.5}', "id is a number, not a string or a whole number"),
        (b'{"text": "a", "id": true}', "id is true or false, not a string or a whole number"),
        (b'{"text": "a", "id": [1]}', "id is a list, not a string or a whole number"),
        (b'{"text": "\\ud800"}', "not valid UTF-8"),
        (b'{"text": "a", "title": "\\udc00\\ud800"}', "not valid UTF-8"),
        (b'{"text": "a", "id": "\\udfff"}', "not valid UTF-8"),
        (b'{"text": "a", "x": {"y": ["\\ud800"]}}', "not valid UTF-8"),
        (b'{"text": "a", "\\ud800": 1}', "not valid UTF-8"),
        (b'{"text": "a", "x": 1e999}', "inf is not a JSON number"),
        (b'{"text": "a", "x": [-1e999]}', "-inf is not a JSON number"),
        (b'{"text": "a", "x": NaN}', "not JSON: NaN is not a JSON number"),
        (b'{"text": "a", "x": -Infinity}', "not JSON: -Infinity is not a JSON number"),
        (b'{"text": "a", "x": [1' + b"0" * 400 + b"]}", "a number too large to be stored"),
        (b'{"text": "a", "x": ' + b"[" * 101 + b"]" * 101 + b"}", "nested too deep"),
        (b'{"text": "a", "x": ' + b'{"a":' * 100 + b"1" + b"}" * 101, "nested too deep"),
        (b'["text"]', "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"5", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"text": "\xff"}', "not valid UTF-8: byte 11 of the line"),
        (b'{"text": "\xed\xa0\x80"}', "not valid UTF-8: byte 11 of the line"),
    ],
)
def test_a_json_line_that_cannot_be_used_is_rejected_alone(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    path = json_lines(tmp_path, b'{"text": "before"}', line, b'{"text": "after"}')
    assert read(path) == (["before", "after"], [(2, reason)])


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b'{"text": "a"',
        b'{"text": "a"} {"text": "b"}',
        b"{'text': 'a'}",
        b'{"text": "a",}',
        b'{"text": "a\tb"}',
        b'{"text": "\\x"}',
        b"text\ttitle",
        b'{"text": "a", "n": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"text":' * 100_000,
        b'\xef\xbb\xbf{"text": "a"}',
        b"\x00",
    ],
)
def test_a_line_that_is_not_json_is_rejected_alone(tmp_path: Path, line: bytes) -> None:
    path = json_lines(tmp_path, b'{"text": "before"}', line, b'{"text": "after"}')
    texts, rejected = read(path)
    assert texts == ["before", "after"]
    assert [number for number, _ in rejected] == [2]


def test_no_depth_of_nesting_stops_the_reading(tmp_path: Path) -> None:
    depths = range(850, 1050)
    lines = (b'{"text": "a", "x": ' + b"[" * n + b"]" * n + b"}" for n in depths)
    texts, rejected = read(json_lines(tmp_path, *lines, b'{"text": "after"}'))
    assert texts[-1] == "after"
    assert len(texts) + len(rejected) == len(depths) + 1


def test_paired_surrogate_escapes_are_one_character(tmp_path: Path) -> None:
    assert read(json_lines(tmp_path, b'{"text": "\\ud83d\\ude00"}')) == (["😀"], [])


def test_a_rejected_row_keeps_what_was_parsed(tmp_path: Path) -> None:
    rejected: list[Reject] = []
    path = json_lines(tmp_path, b'{"text": 5, "a": 1}', b"{oops", b"[1]", b"\xff{")
    assert list(open_source(path).passages(rejected.append)) == []
    assert [row.row for row in rejected] == [{"text": 5, "a": 1}, "{oops", [1], "\ufffd{\n"]


@pytest.mark.parametrize("size", [100, 101, 250, 1000])
def test_a_json_line_that_is_too_long_is_rejected_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(jsonlines, "MAX_LINE_BYTES", 100)
    path = json_lines(tmp_path, b'{"text": "before"}', b"x" * size, b'{"text": "after"}')
    assert read(path) == (["before", "after"], [(2, "line longer than 100 bytes")])


def test_a_last_json_line_that_is_too_long_and_has_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonlines, "MAX_LINE_BYTES", 100)
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"text": "before"}\n' + b"x" * 1000)
    assert read(path) == (["before"], [(2, "line longer than 100 bytes")])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"1\tone", "has 2 fields, the header has 3"),
        (b"1\tone\tT\tmore", "has 4 fields, the header has 3"),
        (b" ", "has 1 fields, the header has 3"),
        (b"1\t\tT", "text is empty"),
        (b"1\t \xc2\xa0\tT", "text is empty"),
        (b"1\t\xff\tT", "not valid UTF-8"),
        (b"1\tone\tT\xe9", "not valid UTF-8"),
        (b"\xe9\tone\tT", "not valid UTF-8"),
        (b"1\t\xed\xa0\x80\tT", "not valid UTF-8"),
    ],
)
def test_a_table_row_that_cannot_be_used_is_rejected_alone(
    tmp_path: Path, row: bytes, reason: str
) -> None:
    path = table(tmp_path, b"id\ttext\ttitle\n0\tbefore\tT\n" + row + b"\n2\tafter\tT\n")
    assert read(path) == (["before", "after"], [(3, reason)])


@pytest.mark.parametrize("row", [b'1\t"one" and\tT', b'"1\tone"\t"T"T', b'1\tone\t"T"" "x'])
def test_a_row_with_broken_quoting_is_rejected_alone(tmp_path: Path, row: bytes) -> None:
    path = table(tmp_path, b"id\ttext\ttitle\n0\tbefore\tT\n" + row + b"\n2\tafter\tT\n")
    texts, rejected = read(path)
    assert texts == ["before", "after"]
    assert [(line, reason.partition(":")[0]) for line, reason in rejected] == [
        (3, "broken quoting")
    ]


@pytest.mark.parametrize("stray", [b'1\t"one\tT', b'1\tone\t"T', b'"1\tone\tT', b'"'])
@pytest.mark.parametrize(
    "following",
    [
        b"2\ttwo\tT\n3\tthree\tT\n4\tfour\tT\n",
        b'2\ttwo\tT\n3\t"three"\tT\n4\tfour\tT\n',
        b'2\ttwo\tT\n3\tthree\t"T"\n4\t"four"\t"T"\n',
    ],
)
def test_a_stray_quote_costs_its_own_row_and_none_that_follows(
    tmp_path: Path, stray: bytes, following: bytes
) -> None:
    path = table(tmp_path, b"id\ttext\ttitle\n0\tzero\tT\n" + stray + b"\n" + following)
    texts, rejected = read(path)
    assert texts == ["zero", "two", "three", "four"]
    assert len(rejected) == 1


def test_a_stray_quote_in_the_last_row_costs_only_that_row(tmp_path: Path) -> None:
    texts, rejected = read(table(tmp_path, b'text\none\n"two'))
    assert texts == ["one"]
    assert [line for line, _ in rejected] == [3]


def test_the_line_of_a_row_is_where_it_ends_in_the_file(tmp_path: Path) -> None:
    path = table(tmp_path, b'id,text\n\n1,"a\nb"\n\n2,"c\n\nd",x\n3,e\n', "r.csv")
    assert read(path) == (["a\nb", "e"], [(8, "has 3 fields, the header has 2")])


@pytest.fixture
def short_fields(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    before = csv.field_size_limit(100)
    monkeypatch.setattr(line_reader, "MAX_FIELD_CHARACTERS", 100)
    yield 100
    csv.field_size_limit(before)


def test_a_field_that_is_too_long_is_rejected_alone(tmp_path: Path, short_fields: int) -> None:
    huge = b"x" * (short_fields + 1)
    path = table(tmp_path, b"id\ttext\n0\tbefore\n1\t" + huge + b"\n2\tafter\n")
    texts, rejected = read(path)
    assert texts == ["before", "after"]
    assert [line for line, _ in rejected] == [3]


def test_a_field_of_a_whole_document_is_read(tmp_path: Path) -> None:
    document = b"word " * 200_000 + b"end"
    assert read(table(tmp_path, b"text\n" + document + b"\n")) == ([document.decode()], [])


def test_an_undecodable_column_name_rejects_every_row(tmp_path: Path) -> None:
    path = table(tmp_path, b"text\t\xff\na\tb\nc\td\n")
    assert read(path) == ([], [(2, "not valid UTF-8"), (3, "not valid UTF-8")])


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"text": [None]}, "no text"),
        ({"text": [" "]}, "text is empty"),
        ({"text": [5]}, "text is a number, not a string"),
        ({"text": [["a"]]}, "text is a list, not a string"),
        ({"text": [b"\xff"]}, "not valid UTF-8"),
        ({"text": ["a"], "id": [1.5]}, "id is a number, not a string or a whole number"),
        ({"text": ["a"], "title": [5]}, "title is a number, not a string"),
        ({"text": ["a"], "x": [float("inf")]}, "inf is not a JSON number"),
        ({"text": ["a"], "x": [[b"\xff"]]}, "not valid UTF-8"),
    ],
)
def test_a_parquet_row_that_cannot_be_used_is_rejected(
    tmp_path: Path, columns: dict[str, list[Any]], reason: str
) -> None:
    assert read(parquet(tmp_path, **columns)) == ([], [(1, reason)])


def test_a_parquet_row_is_rejected_alone(tmp_path: Path) -> None:
    path = parquet(tmp_path, text=["before", None, "after"])
    assert read(path) == (["before", "after"], [(2, "no text")])


def test_a_parquet_string_that_is_not_utf_8_costs_only_its_row(tmp_path: Path) -> None:
    text = pa.array([b"before", b"\xff", b"after"], pa.binary()).view(pa.string())
    assert read(parquet(tmp_path, text=text)) == (["before", "after"], [(2, "not valid UTF-8")])


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1], pa.timestamp("ns")),
        pa.array([10**15], pa.timestamp("ms")),
        pa.array([10**9], pa.int32()).view(pa.date32()),
        pa.array([2**62], pa.duration("ms")),
    ],
    ids=["nanoseconds", "far future", "far day", "long span"],
)
def test_a_time_that_python_cannot_hold_does_not_stop_the_reading(
    tmp_path: Path, column: pa.Array
) -> None:
    texts, rejected = read(parquet(tmp_path, text=["a"], when=column))
    assert len(texts) + len(rejected) == 1


def test_a_time_in_nanoseconds_is_usable_where_they_are_whole_microseconds(tmp_path: Path) -> None:
    when = pa.array([1_000], pa.timestamp("ns"))
    span = pa.array([timedelta(hours=1)], pa.duration("ns"))
    assert read(parquet(tmp_path, text=["a"], when=when, span=span)) == (["a"], [])


def test_a_struct_with_one_field_name_twice_does_not_crash(tmp_path: Path) -> None:
    struct = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    texts, rejected = read(parquet(tmp_path, text=["a"], x=struct))
    assert len(texts) + len(rejected) == 1


def test_a_file_name_that_is_not_utf_8_gives_no_passage_that_cannot_be_stored(
    tmp_path: Path,
) -> None:
    path = tmp_path / os.fsdecode(b"r\xff.jsonl")
    path.write_bytes(b'{"text": "a"}\n')
    for passage in open_source(path).passages(lambda row: None):
        json.dumps(dict(passage.metadata), ensure_ascii=False).encode()


@pytest.mark.parametrize("damage", [b"\xe9", b"\xff"])
def test_a_parquet_file_whose_column_names_are_damaged_is_refused(
    tmp_path: Path, damage: bytes
) -> None:
    path = parquet(tmp_path, text=["a"], column=["b"])
    path.write_bytes(path.read_bytes().replace(b"column", damage + b"olumn"))
    with pytest.raises(SourceError, match="is not a Parquet file or is damaged"):
        open_source(path)


def test_a_row_with_broken_quoting_is_kept_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "f.tsv"
    path.write_text('id\ttext\ttitle\n1\t"never "closed\tt\n2\tb\tt\n')
    rejected: list[Reject] = []
    assert [p.id for p in open_source(path).passages(rejected.append)] == ["2"]
    assert [row.row for row in rejected] == ['1\t"never "closed\tt']
