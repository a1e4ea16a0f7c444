"""Sources whose files change between opening and the end of reading."""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rdr_qdrant.readers import PassageSource, open_source
from rdr_qdrant.readers.jsonlines import StdinSource
from tests.support import documents

ROWS = "".join(f"{number}\tthe river {number}\n" for number in range(3000))


def write_rows(path: Path) -> None:
    if ".parquet" in path.name:
        buffer = io.BytesIO()
        pq.write_table(pa.table({"text": ROWS.splitlines()}), buffer)
        data = buffer.getvalue()
    elif ".jsonl" in path.name:
        data = b'{"text": "the river"}\n' * 3000
    else:
        header = "id,text\n" if ".csv" in path.name else "id\ttext\n"
        data = (header + ROWS.replace("\t", "," if ".csv" in path.name else "\t")).encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)


NAMES = ["r.tsv", "r.csv", "r.jsonl", "r.parquet", "r.tsv.gz", "r.jsonl.gz", "r.parquet.gz"]
NAMES += ["d.txt", "d.pdf"]


@pytest.fixture(params=NAMES)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    if path.name == "d.pdf":
        path.write_bytes(documents.pdf(["the river"]))
    elif path.name == "d.txt":
        path.write_text("the river")
    else:
        write_rows(path)
    return path


def read_half(source: PassageSource) -> None:
    passages = source.passages(lambda reject: None)
    next(passages)


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(path.stat().st_mtime_ns,) * 2)
    other.rename(path)


def touch_later(path: Path) -> None:
    later = path.stat().st_mtime_ns + 1
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(later, later))


def test_a_file_that_does_not_change_is_unchanged(file: Path) -> None:
    source = open_source(file)
    assert source.changed_while_read() is None
    list(source.passages(pytest.fail))
    assert source.changed_while_read() is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda path: os.truncate(path, path.stat().st_size // 2), r"it had [\d,]+ bytes and now"),
        (lambda path: path.write_bytes(path.read_bytes() * 2), r"it had [\d,]+ bytes and now"),
        (touch_later, r"it was modified at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
        (replace, "it was replaced by another file"),
        (Path.unlink, "it was deleted"),
    ],
    ids=["truncated", "extended", "rewritten", "replaced", "deleted"],
)
@pytest.mark.parametrize("reading", [False, True], ids=["before reading", "while reading"])
def test_a_file_that_changes_is_reported_in_one_line(
    file: Path, change: Callable[[Path], object], expected: str, reading: bool
) -> None:
    source = open_source(file)
    if reading:
        read_half(source)
    change(file)
    reported = source.changed_while_read()
    assert reported is not None
    assert reported.startswith(f"{file} changed while it was read: ")
    assert "\n" not in reported
    assert re.search(expected, reported)


def test_a_file_that_links_to_another_is_compared_by_its_target(tmp_path: Path) -> None:
    for name in ("r.tsv", "d.txt"):
        target, link = tmp_path / f"target-{name}", tmp_path / name
        target.write_text("text\nriver\n")
        link.symlink_to(target)
        source = open_source(link)
        assert source.changed_while_read() is None
        target.write_text("text\nriver\nking\n")
        assert "bytes and now has 16" in (source.changed_while_read() or "")


def add(folder: Path) -> None:
    (folder / "b" / "new.md").write_text("new")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda folder: (folder / "a.txt").write_text("another"), "a.txt had 5 bytes and now"),
        (lambda folder: touch_later(folder / "b/c.txt"), "b/c.txt was modified at"),
        (lambda folder: replace(folder / "b/c.txt"), "b/c.txt was replaced by another file"),
        (lambda folder: (folder / "a.txt").unlink(), "a.txt was deleted"),
        (add, "b/new.md was added"),
        (lambda folder: folder.rename(folder.with_name("moved")), "a.txt was deleted (and 1 more"),
    ],
    ids=["rewritten", "touched", "replaced", "deleted", "added", "moved"],
)
def test_a_folder_that_changes_names_the_document(
    tmp_path: Path, change: Callable[[Path], object], expected: str
) -> None:
    folder = tmp_path / "docs"
    (folder / "b").mkdir(parents=True)
    for name in ("a.txt", "b/c.txt"):
        (folder / name).write_text("river")
    (folder / "rows.csv").write_text("id,text\n")
    source = open_source(folder)
    read_half(source)
    (folder / "rows.csv").write_text("not a document")
    assert source.changed_while_read() is None
    change(folder)
    reported = source.changed_while_read()
    assert f"{folder} changed while it was read: {expected}" in (reported or "")


def test_standard_input_redirected_from_a_file_is_compared_too(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_rows(path)
    with path.open("rb") as stream:
        source = StdinSource(stream)
        read_half(source)
        assert source.changed_while_read() is None
        os.truncate(path, 1000)
        assert "66,000 bytes and now has 1,000" in (source.changed_while_read() or "")


def test_a_pipe_cannot_change() -> None:
    code = (
        "from rdr_qdrant.readers import open_source\nsource = open_source('-')\n"
        "print(len(list(source.passages(print))), source.changed_while_read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input='{"text": "a"}\n', capture_output=True, text=True
    )
    assert done.stdout == "1 None\n"
