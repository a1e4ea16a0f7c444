"""The reject log: rejects counted by reason, and written as JSON Lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers import Reject, RejectLog, open_source


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


def lines_of(path: Path) -> list[Any]:
    data = path.read_text(encoding="utf-8")
    return [json.loads(line, parse_constant=refuse) for line in data.splitlines()]


def test_rows_are_counted_by_reason_without_details() -> None:
    with RejectLog() as log:
        for reason in ("not JSON: a", "no text", "not JSON: b"):
            log(Reject("s", 1, reason, None))
    assert log.counts == {"not JSON": 2, "no text": 1}
    assert log.total == 3


def test_the_summary_names_the_most_frequent_first_with_its_first_location() -> None:
    with RejectLog() as log:
        log(Reject("a.tsv", 4, "no text", None))
        log(Reject("b.tsv", 2, "not JSON: x", None))
        for line in range(1, 1200):
            log(Reject("c.tsv", line, "not JSON: y", None))
    assert log.summary() == [
        "1,200 x not JSON (first: b.tsv, line 2: x)",
        "1 x no text (first: a.tsv, line 4)",
    ]


def test_documents_are_listed_up_to_a_limit(tmp_path: Path) -> None:
    log = RejectLog()
    log(Reject("a.tsv", 4, "no text", None))
    for number in range(22):
        log(Reject(f"d/{number}.pdf", 0, "no text found: perhaps a scan", None))
    lines = log.summary()
    assert lines[0] == "d/0.pdf: no text found: perhaps a scan"
    assert lines[20:] == [
        "2 more documents (--rejects FILE lists them)",
        "1 x no text (first: a.tsv, line 4)",
    ]
    assert log.total == 23


def test_an_empty_log_has_an_empty_summary() -> None:
    with RejectLog() as log:
        pass
    assert (log.total, log.summary()) == (0, [])


def test_rows_are_written_as_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with RejectLog(path) as log:
        log(Reject("a.tsv", 2, "no text", {"id": "1", "n": [None, 1.5]}))
        log(Reject("a.tsv", 3, "not JSON: ü", "{\u2028\n"))
    assert lines_of(path) == [
        {"source": "a.tsv", "line": 2, "reason": "no text", "row": {"id": "1", "n": [None, 1.5]}},
        {"source": "a.tsv", "line": 3, "reason": "not JSON: ü", "row": "{\u2028\n"},
    ]


def test_a_row_that_is_not_utf_8_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with RejectLog(path) as log:
        log(Reject("\udcff.tsv", 2, "not valid UTF-8", ["a\udcff", "\ud800"]))
    assert lines_of(path)[0]["row"] == ["a\udcff", "\ud800"]


def test_a_file_without_rejects_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    path.write_text("from last time")
    with RejectLog(path):
        pass
    assert path.read_bytes() == b""


def test_every_rejected_row_of_a_source_is_written_with_its_line(tmp_path: Path) -> None:
    source, path = tmp_path / "r.jsonl", tmp_path / "rejects.jsonl"
    source.write_bytes(b'{"text": "a"}\n{"id": 2}\n{\xff\n[1]\n{"text": "b"}\n')
    with RejectLog(path) as log:
        assert [p.text for p in open_source(source).passages(log)] == ["a", "b"]
    assert [(entry["line"], entry["row"]) for entry in lines_of(path)] == [
        (2, {"id": 2}),
        (3, "{\ufffd\n"),
        (4, [1]),
    ]


def test_an_infinite_number_does_not_spoil_the_file(tmp_path: Path) -> None:
    source, path = tmp_path / "r.jsonl", tmp_path / "rejects.jsonl"
    source.write_bytes(b'{"text": "a", "x": 1e999}\n')
    with RejectLog(path) as log:
        assert list(open_source(source).passages(log)) == []
    assert lines_of(path)[0]["line"] == 1


def test_no_depth_of_nesting_stops_the_writing(tmp_path: Path) -> None:
    source, path = tmp_path / "r.jsonl", tmp_path / "rejects.jsonl"
    depths = range(900, 1050)
    source.write_bytes(b"".join(b"[" * n + b"]" * n + b"\n" for n in depths))
    with RejectLog(path) as log:
        assert list(open_source(source).passages(log)) == []
    assert len(path.read_text().splitlines()) == len(depths)


def test_an_unwritable_path_is_refused_on_entering(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "rejects.jsonl"):
        with pytest.raises(SourceError, match=f"Cannot write {path}"):
            RejectLog(path).__enter__()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("rows", [1, 1000])
def test_a_full_disk_is_an_error_that_names_the_rejects_file(tmp_path: Path, rows: int) -> None:
    source = tmp_path / "r.jsonl"
    source.write_bytes(b"not json\n" * rows)
    with (
        pytest.raises(SourceError, match="Cannot write /dev/full"),
        RejectLog(Path("/dev/full")) as log,
    ):
        list(open_source(source).passages(log))


def test_the_file_is_closed_when_the_reading_fails(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"

    def failing() -> None:
        with RejectLog(path) as log:
            log(Reject("s", 1, "no text", None))
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        failing()
    assert [entry["line"] for entry in lines_of(path)] == [1]
