"""Every mistake is one clear line, exit 1 or 2, and nothing is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from qdrant_client import models

from rdr_qdrant import connect
from rdr_qdrant.cli import app
from tests.cli.conftest import Command


def points_in(tmp_path: Path) -> dict[str, int]:
    """Collections of the default folder, by their number of points."""
    if not (tmp_path / "qdrant_data").exists():
        return {}
    client = connect(path=tmp_path / "qdrant_data")
    try:
        return {c.name: client.count(c.name).count for c in client.get_collections().collections}
    finally:
        client.close()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.tsv", None, "No such file: missing.tsv"),
        ("empty.tsv", "", "empty.tsv is empty (0 bytes)"),
        ("rows.xyz", "id\ttext\n", "unknown extension (.xyz). Supported: .tsv, .csv"),
        ("columns.tsv", "a\tb\n1\t2\n", "no column 'text' in its header (found: a, b)"),
        ("header.tsv", "id\ttext\ttitle\n", "holds no passages"),
        ("broken.jsonl", "{\n", "None of the 1 rows"),
        (".", None, "The folder . holds no documents"),
    ],
)
def test_a_source_that_cannot_be_used(
    command: Command,
    pair: list[str],
    tmp_path: Path,
    name: str,
    content: str | None,
    message: str,
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    outcome = command("ingest", name, "-c", "c", *pair)
    assert outcome.status == 1
    [line] = outcome.errors
    assert message in line
    assert outcome.out == ""
    assert points_in(tmp_path) == {}


def test_a_second_source_that_cannot_be_used_stops_before_the_first_is_loaded(
    command: Command, pair: list[str], tsv: Path, tmp_path: Path
) -> None:
    assert command("ingest", tsv, "missing.tsv", "-c", "c", *pair).status == 1
    assert points_in(tmp_path) == {}


@pytest.mark.parametrize("arguments", [("search", "who?"), ("eval", "q.jsonl"), ("info",)])
def test_no_such_collection(
    command: Command, pair: list[str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "who?", "answers": ["x"]}\n')
    options = [] if arguments[0] == "info" else pair
    outcome = command(*arguments, "-c", "nope", *options)
    assert outcome.status == 1
    [line] = outcome.errors
    assert "No collection 'nope'" in line


@pytest.mark.parametrize(
    ("size", "distance", "message"),
    [
        (32, "Cosine", "compares by Cosine, but RDR's vectors need Dot"),
        (48, "Dot", "of 48 numbers"),
    ],
)
def test_a_collection_that_does_not_fit(
    command: Command,
    pair: list[str],
    tsv: Path,
    tmp_path: Path,
    size: int,
    distance: str,
    message: str,
) -> None:
    client = connect(path=tmp_path / "qdrant_data")
    params = models.VectorParams(size=size, distance=models.Distance(distance))
    client.create_collection("c", vectors_config=params)
    client.close()
    outcome = command("ingest", tsv, "-c", "c", *pair)
    assert outcome.status == 1
    assert message in outcome.errors[0]
    assert points_in(tmp_path) == {"c": 0}


def test_an_unknown_model_lists_the_known(command: Command, tsv: Path, tmp_path: Path) -> None:
    outcome = command("ingest", tsv, "-c", "c", "--model", "nope")
    assert outcome.status == 1
    assert "Known: rdr-single-trivia, " in outcome.errors[0]
    assert points_in(tmp_path) == {}


def test_a_hub_id_that_cannot_be_downloaded(command: Command, tsv: Path, tmp_path: Path) -> None:
    outcome = command(
        "ingest", tsv, "-c", "c", "--context-encoder", "no/ctx", "--question-encoder", "no/q"
    )
    assert outcome.status == 1
    [line] = outcome.errors
    assert "no/ctx" in line
    assert "Offline: " in line
    assert points_in(tmp_path) == {}


def test_a_server_that_does_not_answer(command: Command, pair: list[str], tsv: Path) -> None:
    outcome = command("ingest", tsv, "-c", "c", "--url", "http://127.0.0.1:9", *pair)
    assert outcome.status == 1
    [line] = outcome.errors
    assert "Qdrant at http://127.0.0.1:9 does not answer" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "-c", "c", "--url", "http://localhost:6333", "--path", "x"),
        ("info", "-c", "c", "--url", "localhost:6333"),
        ("search", "q", "-c", "c", "--filter", "novalue"),
        ("eval", "q.jsonl", "-c", "c", "-k", "1,x"),
        ("eval", "q.jsonl", "-c", "c", "-k", "0"),
        ("search", "q", "-c", "c", "--model", "demo", "--context-encoder", "x"),
        ("search", "q", "-c", "c", "-k", "0"),
        ("search", "q"),
        ("frobnicate",),
        ("ingest", "--no-such-option"),
    ],
)
def test_wrong_usage_exits_with_2(
    command: Command, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    outcome = command(*arguments)
    assert outcome.status == 2
    assert "Traceback" not in outcome.err
    assert outcome.err
    assert outcome.out == ""


def test_both_url_and_path_are_named(command: Command) -> None:
    outcome = command("info", "-c", "c", "--url", "http://h:1", "--path", "x")
    assert outcome.errors == [
        "Error: Both a server (http://h:1) and a folder (x) were given: name one of them."
    ]


def test_an_unexpected_error_is_one_line_and_debug_shows_where(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("rdr_qdrant.client.connect", explode)
    outcome = command("info", "-c", "c")
    assert outcome.status == 1
    assert outcome.errors == [
        "Error: unexpected ZeroDivisionError: two lines. --debug shows where it happened."
    ]
    with pytest.raises(ZeroDivisionError):
        app.run(["info", "-c", "c", "--debug"])


def test_an_interrupt_exits_with_130(
    command: Command, pair: list[str], tsv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rdr_qdrant.ingest.QdrantLoader.load_sources", interrupt)
    outcome = command("ingest", tsv, "-c", "c", *pair)
    assert outcome.status == 130
    assert "kept" in outcome.err


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    process = subprocess.run(
        f"{sys.executable} -m rdr_qdrant models | true",
        shell=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        check=False,
    )
    assert "Traceback" not in process.stderr


def test_rejects_never_overwrite_a_source(command: Command, pair: list[str], tsv: Path) -> None:
    before = tsv.read_bytes()
    assert command("ingest", tsv, "-c", "c", "--rejects", tsv, *pair).status == 2
    assert tsv.read_bytes() == before
