"""Sources of rows in every format: checks at opening, errors while reading, laziness, memory."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdr_qdrant import Passage
from rdr_qdrant.errors import SourceError
from rdr_qdrant.passages import id_from_content
from rdr_qdrant.readers import Reject, open_source

COLUMNS = ("id", "text", "title", "year")
ROWS = [
    ("1", 'He said "hi",\tthen\nleft.', "Say, what?", "1984"),
    ("b-2", "Zürich, \u2028 東京 😀", "", "2001"),
    ("", "no id here", "T", ""),
]


def as_delimited(delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([COLUMNS, *ROWS])
    return text.getvalue().encode()


def as_json_lines() -> bytes:
    objects = (dict(zip(COLUMNS, row, strict=True)) for row in ROWS)
    return "".join(json.dumps(row) + "\n" for row in objects).encode()


def as_parquet(table: pa.Table | None = None) -> bytes:
    if table is None:
        columns = (list(column) for column in zip(*ROWS, strict=True))
        table = pa.table(dict(zip(COLUMNS, columns, strict=True)))
    data = io.BytesIO()
    pq.write_table(table, data)
    return data.getvalue()


WRITERS: dict[str, Callable[[], bytes]] = {
    ".tsv": lambda: as_delimited("\t"),
    ".csv": lambda: as_delimited(","),
    ".jsonl": as_json_lines,
    ".parquet": as_parquet,
}
FORMATS = [suffix + gz for suffix in WRITERS for gz in ("", ".gz")]


def no_rejects(row: Reject) -> None:
    raise AssertionError(f"line {row.line}: {row.reason}")


def read(source: Path | str) -> list[Passage]:
    return list(open_source(source).passages(no_rejects))


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data, mtime=0) if path.name.lower().endswith(".gz") else data)
    return path


@pytest.fixture(params=FORMATS)
def each_format(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    suffix = request.param.removesuffix(".gz")
    return written(tmp_path / f"rows{request.param}", WRITERS[suffix]())


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def put(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))

    return put


def test_each_format_gives_the_same_passages(each_format: Path) -> None:
    source = str(each_format)
    assert read(each_format) == [
        Passage(
            id=identifier or id_from_content(title, text),
            text=text,
            title=title,
            metadata={"source": source, "year": year},
        )
        for identifier, text, title, year in ROWS
    ]


def test_each_format_can_be_read_a_second_time(each_format: Path) -> None:
    source = open_source(each_format)
    first = list(source.passages(no_rejects))
    assert list(source.passages(no_rejects)) == first


def test_each_format_counts_rows_and_ends_at_all_of_it(each_format: Path) -> None:
    source = open_source(each_format)
    assert (source.records_read, source.size) == (0, each_format.stat().st_size)
    passages = source.passages(no_rejects)
    next(passages)
    assert source.records_read == 1
    assert len(list(passages)) == 2
    assert (source.records_read, source.fraction_read()) == (3, 1.0)


def test_a_suffix_is_known_in_upper_case_too(tmp_path: Path) -> None:
    assert len(read(written(tmp_path / "ROWS.TSV.GZ", as_delimited("\t")))) == 3
    assert len(read(written(tmp_path / "ROWS.Parquet.Gz", as_parquet()))) == 3


def test_a_dash_is_json_lines_from_stdin(stdin: Callable[[bytes], None]) -> None:
    stdin(b'{"text": "one", "lang": "de"}\n{"id": 7, "text": "two", "title": "T"}')
    source = open_source("-")
    assert list(source.passages(no_rejects)) == [
        Passage(id=id_from_content("", "one"), text="one", metadata={"source": "-", "lang": "de"}),
        Passage(id="7", text="two", title="T", metadata={"source": "-"}),
    ]
    assert (source.records_read, source.size, source.fraction_read()) == (2, 0, None)


def test_an_empty_stdin_has_no_passages(stdin: Callable[[bytes], None]) -> None:
    stdin(b"")
    assert read("-") == []


def test_a_closed_stdin_raises_source_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(SourceError):
        read("-")


def test_dprs_own_tsv_with_its_quoting(tmp_path: Path) -> None:
    data = (
        b"id\ttext\ttitle\n"
        b'1\t"Aaron is a prophet in the ""Exodus"" story."\tAaron\n'
        b'2\tmid "quotes" stay\t"The ""Title"""\r\n'
    )
    assert [(p.id, p.text, p.title) for p in read(written(tmp_path / "w.tsv", data))] == [
        ("1", 'Aaron is a prophet in the "Exodus" story.', "Aaron"),
        ("2", 'mid "quotes" stay', 'The "Title"'),
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_all_line_ends_end_a_row(tmp_path: Path, end: bytes) -> None:
    data = end.join([b"id,text", b"1,one", b"2,two"])
    assert [p.text for p in read(written(tmp_path / "r.csv", data))] == ["one", "two"]


def test_only_line_feeds_end_a_json_line(tmp_path: Path) -> None:
    data = '{"text": "a\u2028b\x85c"}\r\n{"text": "d"}\r\n'.encode()
    assert [p.text for p in read(written(tmp_path / "r.jsonl", data))] == ["a\u2028b\x85c", "d"]


@pytest.mark.parametrize(
    "value",
    [
        *("18446744073709551615", "18446744073709551616", "-9223372036854775809"),
        *("-0", "-0.0", "1E2", "0.1", "1e-400", "true", "null", "{}", '""'),
        *('"\\u00e9\\/\\u0000"', '"\\ud83d\\ude00"', "[18446744073709551616]"),
    ],
)
def test_values_of_json_lines_are_those_of_the_json_module(tmp_path: Path, value: str) -> None:
    line = f'{{"b": 0, "text": "x", "a": {value}, "b": {value}}}'
    [passage] = read(written(tmp_path / "r.jsonl", line.encode()))
    expected = {"source": str(tmp_path / "r.jsonl"), **json.loads(line)}
    del expected["text"]
    assert repr(passage.metadata) == repr(expected)


def test_an_id_beyond_64_bits_stays_as_it_is(tmp_path: Path) -> None:
    data = b'{"id": 18446744073709551616, "text": "x"}\n'
    assert [p.id for p in read(written(tmp_path / "r.jsonl", data))] == ["18446744073709551616"]


@pytest.mark.parametrize("name", ["r.tsv", "r.csv", "r.tsv.gz"])
def test_a_byte_order_mark_is_not_part_of_the_header(tmp_path: Path, name: str) -> None:
    data = b"\xef\xbb\xbftext\n\xef\xbb\xbfkept inside\n"
    assert [p.text for p in read(written(tmp_path / name, data))] == ["\ufeffkept inside"]


def test_a_byte_order_mark_before_a_quoted_header(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbf"id","text"\n5,five\n'
    assert [(p.id, p.text) for p in read(written(tmp_path / "r.csv", data))] == [("5", "five")]


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_a_byte_order_mark_before_json_lines(tmp_path: Path, name: str) -> None:
    data = b'\xef\xbb\xbf{"text": "a"}\n{"text": "b"}\n'
    assert [p.text for p in read(written(tmp_path / name, data))] == ["a", "b"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".tsv.gz", ".jsonl.gz"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, suffix: str, encoding: str) -> None:
    data = WRITERS[suffix.removesuffix(".gz")]()
    utf_8, other = tmp_path / f"utf-8{suffix}", tmp_path / f"other{suffix}"
    written(utf_8, data)
    written(other, ("\ufeff" + data.decode()).encode(encoding))
    expected = [(p.id, p.text, p.title) for p in read(utf_8)]
    source = open_source(other)
    assert [(p.id, p.text, p.title) for p in source.passages(no_rejects)] == expected
    assert source.fraction_read() == 1.0


def test_stdin_may_be_utf_16(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO('\ufeff{"text": "Größe"}\r\n'.encode("utf-16-le"))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BufferedReader(data)))
    assert [p.text for p in read("-")] == ["Größe"]


def test_rows_of_utf_16_are_longer_than_a_buffer(tmp_path: Path) -> None:
    texts = ["川" * size for size in (1, 8191, 8192, 100_000)]
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    path = written(tmp_path / "r.jsonl", lines.encode("utf-16"))
    assert [p.text for p in read(path)] == texts


@pytest.mark.parametrize("name", ["r.tsv", "r.jsonl"])
def test_broken_utf_16_is_rejected_or_refused(tmp_path: Path, name: str) -> None:
    text = '{"text": "a\ud800b"}\n' if name == "r.jsonl" else "text\na\ud800b\n"
    data = text.encode("utf-16", "surrogatepass")
    rejected: list[Reject] = []
    list(open_source(written(tmp_path / name, data)).passages(rejected.append))
    assert [row.reason.partition(":")[0] for row in rejected] == ["not valid UTF-8"]
    with pytest.raises(SourceError, match="not valid UTF-16-LE: truncated data"):
        list(open_source(written(tmp_path / name, data + b"x")).passages(lambda row: None))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("r.tsv", b"text\n\none\n\r\n\ntwo\n\n"),
        ("r.jsonl", b'\n{"text": "one"}\n  \t\n\r\n{"text": "two"}\n\n'),
    ],
)
def test_blank_lines_are_skipped(tmp_path: Path, name: str, data: bytes) -> None:
    source = open_source(written(tmp_path / name, data))
    assert [p.text for p in source.passages(no_rejects)] == ["one", "two"]
    assert source.records_read == 2


def test_the_columns_of_a_table_may_stand_in_any_order(tmp_path: Path) -> None:
    path = written(tmp_path / "r.csv", b"lang, title ,text,id\nde,T,x,9\n")
    assert read(path) == [
        Passage(id="9", text="x", title="T", metadata={"source": str(path), "lang": "de"})
    ]


def test_json_values_of_further_columns_are_kept_as_they_are(tmp_path: Path) -> None:
    row = {"text": "x", "n": 1.5, "none": None, "deep": {"list": [1, "ü", True]}, "": 0}
    path = written(tmp_path / "r.jsonl", json.dumps(row).encode())
    expected = {"source": str(path), **row}
    del expected["text"]
    assert read(path)[0].metadata == expected


def test_a_column_named_source_goes_before_the_name_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "r.csv", b"text,source\nx,book\n")
    assert read(path)[0].metadata == {"source": "book", "loaded_from": str(path)}


@pytest.mark.parametrize(
    ("value", "identifier"),
    [("7", "7"), (7, "7"), (-7, "-7"), (2**70, str(2**70)), ("07", "07"), (" 7", " 7")],
)
def test_an_id_is_kept_as_it_is_written(tmp_path: Path, value: object, identifier: str) -> None:
    data = json.dumps({"id": value, "text": "x"}).encode()
    assert read(written(tmp_path / "r.jsonl", data))[0].id == identifier


@pytest.mark.parametrize("row", [{}, {"id": None}, {"id": ""}])
def test_a_row_without_an_id_gets_the_same_one_from_its_content_in_each_format(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    json_path = written(
        tmp_path / "r.jsonl", json.dumps({**row, "text": "x", "title": "T"}).encode()
    )
    csv_path = written(tmp_path / "r.csv", b"title,text\nT,x\n")
    assert read(json_path)[0].id == read(csv_path)[0].id == id_from_content("T", "x")


def test_a_null_title_is_no_title(tmp_path: Path) -> None:
    assert read(written(tmp_path / "r.jsonl", b'{"text": "x", "title": null}'))[0].title == ""


def test_parquet_types_become_json_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([3], pa.int64()),
            "text": pa.array(["x"]).dictionary_encode(),
            "title": pa.array(["T"], pa.large_string()),
            "float": [0.5],
            "nan": [float("nan")],
            "null": pa.nulls(1),
            "bool": [True],
            "list": [[1.0, float("nan")]],
            "struct": [{"day": date(2020, 2, 29)}],
            "time": [datetime(2020, 2, 29, 12, tzinfo=UTC)],
            "span": [timedelta(seconds=90)],
            "decimal": [Decimal("1.10")],
            "bytes": ["ü".encode()],
        }
    )
    path = written(tmp_path / "r.parquet", as_parquet(table))
    assert read(path) == [
        Passage(
            id="3",
            text="x",
            title="T",
            metadata={
                "source": str(path),
                "float": 0.5,
                "nan": None,
                "null": None,
                "bool": True,
                "list": [1.0, None],
                "struct": {"day": "2020-02-29"},
                "time": "2020-02-29T12:00:00+00:00",
                "span": "0:01:30",
                "decimal": "1.10",
                "bytes": "ü",
            },
        )
    ]


def test_a_parquet_file_without_rows_has_no_passages(tmp_path: Path) -> None:
    path = written(
        tmp_path / "r.parquet", as_parquet(pa.table({"text": pa.array([], pa.string())}))
    )
    source = open_source(path)
    assert list(source.passages(no_rejects)) == []
    assert source.fraction_read() == 1.0


def test_a_table_with_only_a_header_has_no_passages(tmp_path: Path) -> None:
    assert read(written(tmp_path / "r.tsv", b"id\ttext\ttitle\n")) == []


# Refused when the source is opened


def refusal(path: Path | str) -> str:
    with pytest.raises(SourceError) as raised:
        open_source(path)
    return str(raised.value)


def test_no_such_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.tsv") == f"No such file: {tmp_path}/none.tsv. Check the path."


@pytest.mark.parametrize(
    "address", ["https://me:secret@host/wiki.tsv?sig=secret", "s3://bucket/secret.jsonl"]
)
def test_an_address_is_no_file_and_not_shown(address: str) -> None:
    assert "Download it first" in refusal(address)
    assert "secret" not in refusal(address)


def test_a_folder_without_documents_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "rows.tsv"
    folder.mkdir()
    assert f"{folder} holds no documents" in refusal(folder)
    assert "is not a file" in refusal("")


def test_links_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "gone.tsv").symlink_to(tmp_path / "none")
    (tmp_path / "round.tsv").symlink_to(tmp_path / "round.tsv")
    assert "No such file" in refusal(tmp_path / "gone.tsv")
    assert "Cannot read" in refusal(tmp_path / "round.tsv")


def test_a_name_too_long_for_the_file_system_is_refused() -> None:
    assert "Cannot read" in refusal("x" * 5000 + ".tsv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "r.tsv", b"text\nx\n")
    path.chmod(0)
    assert "Permission denied" in refusal(path)


@pytest.mark.parametrize("suffix", WRITERS)
def test_an_empty_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"r{suffix}"
    path.touch()
    assert f"{path} is empty (0 bytes)" in refusal(path)


@pytest.mark.parametrize("name", ["rows.doc", "rows", "rows.json", "rows.gz", "rows.tsv.bz2"])
def test_an_unknown_extension_is_refused_with_those_that_are_known(
    tmp_path: Path, name: str
) -> None:
    message = refusal(written(tmp_path / name, b"text\nx\n"))
    assert "unknown extension" in message
    assert ".tsv, .csv, .jsonl, .parquet" in message


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("r.tsv", b"id\tbody\n1\tx\n", "id, body"),
        ("r.tsv", b"id,text\n1,x\n", "id,text"),
        ("r.csv", b"Text\nx\n", "Text"),
        ("r.csv", b"1,first row\n", "1, first row"),
        ("r.csv", b"\ntext\nx\n", "nothing"),
        ("r.csv.gz", b"", "nothing"),
        ("r.csv", b"a,b,c,d,e,f,g,h,i,j\n", "a, b, c, d, e, f, g, h, ..."),
        ("r.csv", b"a" * 1000 + b"\n", "a" * 40 + ")"),
        ("r.tsv", "id\tbody\n1\tx\n".encode("utf-16"), "id, body"),
    ],
)
def test_a_table_without_a_text_column_is_refused_with_what_it_has(
    tmp_path: Path, name: str, data: bytes, found: str
) -> None:
    message = refusal(written(tmp_path / name, data))
    assert "has no column 'text' in its header" in message
    assert f"(found: {found}" in message


@pytest.mark.parametrize(
    ("header", "twice"), [(b"text,text", "text"), (b"id, a,text,a,id", "a, id")]
)
def test_a_column_named_twice_is_refused(tmp_path: Path, header: bytes, twice: str) -> None:
    message = refusal(written(tmp_path / "r.csv", header + b"\n"))
    assert f"twice in its header: {twice}." in message


def test_a_parquet_column_named_twice_is_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    assert "twice" in refusal(written(tmp_path / "r.parquet", as_parquet(table)))


@pytest.mark.parametrize("header", [b'id,"text\n1,x\n', b'id,"te"xt\n', b'"'])
def test_a_header_with_broken_quoting_is_refused(tmp_path: Path, header: bytes) -> None:
    assert "header" in refusal(written(tmp_path / "r.csv", header))


def test_a_parquet_file_without_a_text_column_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "r.parquet", as_parquet(pa.table({"id": ["1"], "body": ["x"]})))
    assert "has no column 'text' (found: id, body)" in refusal(path)


@pytest.mark.parametrize("data", [b"text\nx\n", b"PAR1", b"PAR1 nothing inside PAR1", b"\0" * 99])
def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path, data: bytes) -> None:
    assert "is not a Parquet file" in refusal(written(tmp_path / "r.parquet", data))
    assert "is not a Parquet file" in refusal(written(tmp_path / "r.parquet.gz", data))


def test_a_parquet_file_without_its_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    path.write_bytes(as_parquet()[:-20])
    assert "is not a Parquet file or is damaged" in refusal(path)


# Errors while reading


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".parquet"])
def test_a_file_that_is_not_gzip_is_refused_at_opening(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"r{suffix}.gz"
    path.write_bytes(WRITERS[suffix]())
    assert f"{path} is truncated or damaged" in refusal(path)


def many_rows(suffix: str) -> bytes:
    noise = random.Random(7)
    rows = [f"{number} {noise.getrandbits(400):x}" for number in range(2000)]
    if suffix == ".jsonl":
        return "".join(json.dumps({"text": row}) + "\n" for row in rows).encode()
    return "\n".join(["text", *rows]).encode()


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl"])
def test_a_truncated_gzip_file_gives_its_whole_rows_and_then_an_error(
    tmp_path: Path, suffix: str
) -> None:
    path = written(tmp_path / f"r{suffix}.gz", many_rows(suffix))
    whole = [p.text for p in read(path)]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    seen: list[str] = []
    with pytest.raises(SourceError, match="truncated or damaged"):
        seen.extend(p.text for p in open_source(path).passages(no_rejects))
    assert seen == whole[: len(seen)]


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl"])
@pytest.mark.parametrize("place", [0.5, 0.999])
def test_a_damaged_gzip_file_ends_in_an_error(tmp_path: Path, suffix: str, place: float) -> None:
    path = written(tmp_path / f"r{suffix}.gz", many_rows(suffix))
    data = bytearray(path.read_bytes())
    at = len(data) - 6 if place > 0.9 else int(len(data) * place)
    data[at] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(SourceError, match="truncated or damaged"):
        list(open_source(path).passages(lambda row: None))


def test_a_truncated_parquet_gz_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "r.parquet.gz", as_parquet())
    path.write_bytes(path.read_bytes()[:-30])
    assert "truncated or damaged" in refusal(path)


def test_gzip_members_one_after_the_other_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "r.tsv.gz"
    path.write_bytes(gzip.compress(b"text\none\n") + gzip.compress(b"two\n"))
    assert [p.text for p in read(path)] == ["one", "two"]


@pytest.mark.parametrize("name", ["r.tsv", "r.jsonl", "r.tsv.gz"])
def test_a_file_that_vanished_after_it_was_opened_raises_source_error(
    tmp_path: Path, name: str
) -> None:
    path = written(tmp_path / name, b"text\nx\n")
    source = open_source(path)
    path.unlink()
    with pytest.raises(SourceError, match="Cannot read"):
        list(source.passages(no_rejects))


def test_a_table_that_was_emptied_after_it_was_opened_raises_source_error(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "r.tsv", b"text\nx\n")
    source = open_source(path)
    path.write_bytes(b"")
    with pytest.raises(SourceError):
        list(source.passages(no_rejects))


def test_a_parquet_file_with_a_damaged_page_ends_in_an_error(tmp_path: Path) -> None:
    data = io.BytesIO()
    pq.write_table(pa.table({"text": ["x" * 50, "y" * 50]}), data, compression="gzip")
    damaged = bytearray(data.getvalue())
    damaged[4:90] = b"\xff" * 86
    path = tmp_path / "r.parquet"
    path.write_bytes(damaged)
    with pytest.raises(SourceError, match="damaged"):
        list(open_source(path).passages(no_rejects))


# Laziness and memory


@pytest.mark.parametrize("name", ["r.tsv", "r.csv", "r.jsonl", "r.tsv.gz", "r.jsonl.gz"])
def test_the_first_passage_needs_only_the_beginning_of_a_file(tmp_path: Path, name: str) -> None:
    data = many_rows(".jsonl" if "jsonl" in name else ".tsv")
    header, _, rest = data.partition(b"\n") if "jsonl" not in name else (b"", b"", data)
    source = open_source(written(tmp_path / name, header + b"\n" + rest * 10))
    assert source.fraction_read() == 0.0
    passages = source.passages(no_rejects)
    next(passages)
    begun = source.fraction_read()
    assert begun is not None
    assert 0 < begun < 0.2
    for _ in range(10_000):
        next(passages)
    half = source.fraction_read()
    assert half is not None
    assert 0.4 < half < 0.7


class EndlessStream(io.RawIOBase):
    """JSON Lines without end, that says how many bytes were taken."""

    def __init__(self) -> None:
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        line = b'{"text": "on and on"}\n'
        size = min(len(buffer), len(line) * 10) // len(line) * len(line)
        buffer[:size] = line * (size // len(line))
        self.taken += size
        return size


def test_an_endless_stdin_is_read_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = EndlessStream()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BufferedReader(endless)))
    passages = open_source("-").passages(no_rejects)
    assert endless.taken == 0
    assert [next(passages).text for _ in range(100)] == ["on and on"] * 100
    assert endless.taken < 20_000


def test_a_parquet_file_is_never_wholly_in_memory(tmp_path: Path) -> None:
    noise = random.Random(7)
    path = tmp_path / "r.parquet"
    texts = [f"{noise.getrandbits(4000):01000x}" for _ in range(1000)]
    with pq.ParquetWriter(
        path, pa.schema({"text": pa.string()}), use_dictionary=False, compression="none"
    ) as writer:
        for _ in range(10):
            writer.write_table(pa.table({"text": texts}))
    before, most = pa.total_allocated_bytes(), 0
    for number, passage in enumerate(open_source(path).passages(no_rejects)):
        assert passage.text == texts[number % 1000]
        if number % 500 == 0:
            most = max(most, pa.total_allocated_bytes() - before)
    assert number == 9999
    assert most < path.stat().st_size / 2


@pytest.fixture
def peak_memory() -> Iterator[Callable[[], int]]:
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


@pytest.mark.parametrize(("name", "header"), [("r.jsonl", b""), ("r.tsv", b"text\n")])
def test_memory_does_not_grow_with_the_number_of_rows(
    tmp_path: Path, name: str, header: bytes, peak_memory: Callable[[], int]
) -> None:
    row = b'{"text": "' + b"x" * 5000 + b'"}\n' if name == "r.jsonl" else b"x" * 5000 + b"\n"
    path = tmp_path / name
    path.write_bytes(header + row * 2000)
    tracemalloc.reset_peak()
    del row
    assert sum(1 for _ in open_source(path).passages(no_rejects)) == 2000
    assert peak_memory() < 2_000_000


def test_memory_does_not_grow_with_a_line_that_never_ends(
    tmp_path: Path, peak_memory: Callable[[], int]
) -> None:
    path = tmp_path / "r.tsv.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b"text\n")
        for _ in range(96):
            stream.write(b"a" * 2**20)
        stream.write(b"\nb\n")
    rejected: list[Reject] = []
    assert [p.text for p in open_source(path).passages(rejected.append)] == ["b"]
    assert [row.line for row in rejected] == [2]
    assert peak_memory() < 80 * 2**20


# Arbitrary bytes


@pytest.fixture(scope="module")
def any_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


QUOTING = [b"text", b"id", b"title", b",", b"\t", b"\n", b"\r", b'"', b'""', b" ", b"1", b"a"]
JSON = [b'{"text": ', b'"a"', b"}", b"[", b"1e999", b"NaN", b"\\ud800"]
BYTES = [b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\0", "é".encode(), "\u2028".encode()]
pieces = st.sampled_from([*QUOTING, *JSON, *BYTES])


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl"])
@given(body=st.lists(pieces, max_size=30).map(b"".join))
@settings(deadline=None)
def test_any_bytes_are_passages_rejects_or_source_error(
    any_file: Path, suffix: str, body: bytes
) -> None:
    header = {".tsv": b"id\ttext\n", ".csv": b"id,text\n", ".jsonl": b'{"text": "a"}\n'}[suffix]
    path = any_file / f"r{suffix}"
    for data in (header + body, body + b"\n"):
        path.write_bytes(data)
        rejected: list[Reject] = []
        try:
            source = open_source(path)
            passages = list(source.passages(rejected.append))
        except SourceError:
            continue
        assert source.records_read == len(passages) + len(rejected)
        for passage in passages:
            assert passage.text.strip()
            json.dumps([passage.id, passage.metadata], ensure_ascii=False, allow_nan=False).encode()
