"""Rows that cannot be used: rejected with line and reason, and no other row with them."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers import Reject, jsonlines, line_reader, open_source

NOT_UTF_8 = "not valid UTF-8: byte 11 of the line; save the file as UTF-8"


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
        (b'{"text": "\\ud800"}', "not valid UTF-8: column 'text'"),
        (b'{"text": "a", "title": "\\udc00\\ud800"}', "not valid UTF-8: column 'title'"),
        (b'{"text": "a", "id": "\\udfff"}', "not valid UTF-8: column 'id'"),
        (b'{"text": "a", "x": {"y": ["\\ud800"]}}', "not valid UTF-8: column 'x'"),
        (b'{"text": "a", "\\ud800": 1}', "not valid UTF-8"),
        (b'{"text": "a", "x": 1e999}', "inf is not a JSON number: column 'x'"),
        (b'{"text": "a", "x": [-1e999]}', "-inf is not a JSON number: column 'x'"),
        (b'{"text": "a", "x": NaN}', "not JSON: NaN is not a JSON number"),
        (b'{"text": "a", "x": -Infinity}', "not JSON: -Infinity is not a JSON number"),
        (
            b'{"text": "a", "x": [1' + b"0" * 400 + b"]}",
            "a number too large to be stored: column 'x'",
        ),
        (b'{"text": "a", "x": ' + b"[" * 101 + b"]" * 101 + b"}", "nested too deep: column 'x'"),
        (
            b'{"text": "a", "x": ' + b'{"a":' * 100 + b"1" + b"}" * 101,
            "nested too deep: column 'x'",
        ),
        (b'["text"]', "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"5", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"text": "\xff"}', NOT_UTF_8),
        (
            b'{"text": "\xed\xa0\x80"}',
            NOT_UTF_8,
        ),
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
        (b"1\t\xff\tT", "not valid UTF-8: column 'text'"),
        (b"1\tone\tT\xe9", "not valid UTF-8: column 'title'"),
        (b"\xe9\tone\tT", "not valid UTF-8: column 'id'"),
        (b"1\t\xed\xa0\x80\tT", "not valid UTF-8: column 'text'"),
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
        ({"text": [b"a", b"\xff"]}, "not valid UTF-8: column 'text'"),
        ({"text": ["a"], "id": [1.5]}, "id is a number, not a string or a whole number"),
        ({"text": ["a"], "title": [5]}, "title is a number, not a string"),
        ({"text": ["a"], "x": [float("inf")]}, "inf is not a JSON number: column 'x'"),
        ({"text": [None, "a"], "x": [[b"a"], [b"\xff"]]}, "not valid UTF-8: column 'x'"),
    ],
)
def test_a_parquet_row_that_cannot_be_used_is_rejected(
    tmp_path: Path, columns: dict[str, list[Any]], reason: str
) -> None:
    assert read(parquet(tmp_path, **columns))[1][-1] == (len(columns["text"]), reason)


def test_a_parquet_row_is_rejected_alone(tmp_path: Path) -> None:
    path = parquet(tmp_path, text=["before", None, "after"])
    assert read(path) == (["before", "after"], [(2, "no text")])


def test_a_parquet_string_that_is_not_utf_8_costs_only_its_row(tmp_path: Path) -> None:
    text = pa.array([b"before", b"\xff", b"after"], pa.binary()).view(pa.string())
    assert read(parquet(tmp_path, text=text)) == (
        ["before", "after"],
        [(2, "not valid UTF-8: column 'text'")],
    )


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


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ([b"\x89PNG\r\n", None], "binary"),
        (pa.array([b"\x89PNG", b"\xff"], pa.large_binary()), "large_binary"),
        (pa.array([b"\x89PN", b"\xff" * 3], pa.binary(3)), "fixed_size_binary[3]"),
        ([{"bytes": b"\xff\xd8", "path": "a.jpg"}] * 2, "struct<"),
        ([[b"\xff"], [b"\xfe"]], "list<"),
    ],
    ids=["binary", "large", "fixed size", "struct", "list"],
)
def test_a_binary_parquet_column_is_named_when_the_file_is_opened(
    tmp_path: Path, column: Any, kind: str
) -> None:
    path = parquet(tmp_path, text=["a", "b"], image=column)
    with pytest.raises(
        SourceError, match=r"has a binary column 'image' \((?P<kind>.*)\)"
    ) as raised:
        open_source(path)
    assert f"({kind}" in str(raised.value)


def test_binary_columns_that_hold_text_are_read(tmp_path: Path) -> None:
    path = parquet(tmp_path, text=[b"river", b"king"], x=[b"\xc3\xbc", None])
    assert [(p.text, p.metadata["x"]) for p in open_source(path).passages(print)] == [
        ("river", "ü"),
        ("king", None),
    ]


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [(1.0, "1"), (-3.0, "-3"), (2.0**53, str(2**53)), (-0.0, "0")],
)
def test_a_float_that_is_a_whole_number_is_an_id(
    tmp_path: Path, identifier: float, expected: str
) -> None:
    found = [
        next(open_source(path).passages(print)).id
        for path in (
            parquet(tmp_path, id=[identifier, None], text=["a", "b"]),
            json_lines(tmp_path, json.dumps({"id": identifier, "text": "a"}).encode()),
        )
    ]
    assert found == [expected, expected]


def test_a_float_too_large_to_be_exact_is_no_id(tmp_path: Path) -> None:
    texts, [(_, reason)] = read(parquet(tmp_path, id=[2.0**53 * 2], text=["a"]))
    assert (texts, reason.partition(":")[0]) == ([], "id is a float too large to be exact")


PEAK_MEMORY = """
import re, sys
from pathlib import Path
from rdr_qdrant.readers import open_source
rejects = []
texts = [len(p.text) for p in open_source(sys.argv[1]).passages(rejects.append)]
peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
reason = rejects[0].reason if rejects else None
print(len(texts), len(rejects), reason, int(peak[1]) // 1024, sep=";")
"""


def read_in_a_process(path: Path) -> tuple[int, int, str, int]:
    """Return passages, rejects, the first reason and peak memory (MiB) of a new process."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK_MEMORY, str(path)], capture_output=True, text=True, check=True
    )
    passages, rejects, reason, peak = done.stdout.strip().split(";")
    return int(passages), int(rejects), reason, int(peak)


def dictionary_column(values: list[str], indices: list[int]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(values))


LARGE = "x" * 20_000_000


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("column", "options"),
    [
        (dictionary_column([LARGE], [0] * 1024), {"compression": "zstd"}),
        (dictionary_column([LARGE], [0] * 1024), {"store_schema": False, "compression": "zstd"}),
        (dictionary_column(["a", LARGE], [0] * 900 + [1] * 124), {"store_schema": False}),
        (
            dictionary_column([random.Random(1).randbytes(10_000_000).hex()], [0] * 1024),
            {"store_schema": False},
        ),
        (
            pa.ListArray.from_arrays(
                pa.array(range(0, 2000, 20), pa.int32()),
                dictionary_column([LARGE[:4_000_000]], [0] * 2000),
            ),
            {"store_schema": False},
        ),
    ],
    ids=["dictionary", "without schema", "skewed", "incompressible", "list"],
)
def test_a_small_parquet_file_does_not_unpack_to_gigabytes(
    tmp_path: Path, column: pa.Array, options: dict[str, Any]
) -> None:
    texts = {"text": column} if len(column) > 100 else {"text": ["a"] * len(column), "x": column}
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table(texts), path, **options)
    passages, rejects, reason, peak = read_in_a_process(path)
    assert passages + rejects == len(column)
    assert rejects > 0
    assert reason == "a row of more than 16,777,216 bytes"
    assert peak < 1500


def test_a_parquet_list_of_hundreds_of_millions_of_equal_values_is_refused(tmp_path: Path) -> None:
    values = pa.Array.from_buffers(pa.int8(), 10**8, [None, pa.py_buffer(bytes(10**8))])
    column = pa.ListArray.from_arrays(pa.array([0, 5 * 10**7, 10**8], pa.int32()), values)
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"text": ["a", "b"], "x": column}), path, compression="zstd")
    with pytest.raises(SourceError, match=r"column 'x.list.element' unpack to 100,000,000 values"):
        list(open_source(path).passages(print))


def test_every_nested_type_of_parquet_is_read(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        text=["a", "b"],
        map=pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string())),
        fixed=pa.array([[1, 2], [3, 4]], pa.list_(pa.int8(), 2)),
        large=pa.array([["x"], []], pa.large_list(pa.large_string())),
        categories=pa.array([1.5, 2.5]).dictionary_encode(),
    )
    assert read(path) == (["a", "b"], [])
