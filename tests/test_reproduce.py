"""The script that reproduces the model card's table, run on small files."""

from __future__ import annotations

import gzip
import importlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from tests.evaluation.reference import recall_of_run
from tests.support.file_server import FileServer, serving

ROOT = Path(__file__).parents[1]
DATA = ROOT / "examples" / "data"
PASSAGES = "dpr/wikipedia_split/psgs_w100.tsv.gz"
QUESTIONS = "dpr/data/retriever/trivia-test.qa.csv.gz"
LOCAL = ["--model", "demo", "--batch-size", "64"]


def beginning(name: str, lines: int) -> bytes:
    return b"".join((DATA / name).read_bytes().splitlines(keepends=True)[:lines])


@pytest.fixture
def fetching(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "examples" / "reproduce")
    module = importlib.import_module("fetching")
    monkeypatch.setattr(module, "INITIAL_BACKOFF_SECONDS", 0.0)
    monkeypatch.setattr(module, "CHUNK_BYTES", 4096)
    return module


@pytest.fixture
def script(fetching: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with the row counts of the small files."""
    module = importlib.import_module("reproduce")
    questions = {"trivia-test": replace(module.QUESTIONS["trivia-test"], rows=100)}
    monkeypatch.setattr(module, "PASSAGES", replace(module.PASSAGES, rows=60))
    monkeypatch.setattr(module, "QUESTIONS", questions)
    return module


@pytest.fixture
def server() -> Iterator[FileServer]:
    files = {
        PASSAGES: gzip.compress(beginning("passages.tsv", 61)),
        QUESTIONS: gzip.compress(beginning("questions.tsv", 100)),
    }
    with serving(files) as server:
        yield server


@pytest.fixture
def run(script: ModuleType, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def run(*options: str) -> int:
        return script.main(["--base-url", server.url, "--path", "db", *LOCAL, *options])

    return run


def test_from_download_to_table(
    run, server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.cut_after = [1000, 10**6, 5000, 1]
    assert run() == 0
    captured = capsys.readouterr()
    assert "60 points; 60 uploaded" in captured.err
    assert "retrying" in captured.err
    assert next(r for path, r in server.asked if path == PASSAGES) is None
    assert sum(r is not None for _, r in server.asked) == 3
    assert server.sent == sum(map(len, server.files.values()))

    folder = tmp_path / "reproduce_data"
    assert {path.name for path in folder.iterdir()} == {
        "checksums.json",
        "demo-trivia-test.json",
        "psgs_w100.tsv.gz",
        "trivia-test.qa.csv.gz",
    }
    noted = json.loads((folder / "checksums.json").read_text())
    assert (noted["psgs_w100.tsv.gz"]["rows"], noted["trivia-test.qa.csv.gz"]["rows"]) == (60, 100)
    figures = recall_of_run(folder / "demo-trivia-test.json", [1, 5, 20, 50, 100])
    shown = [f"{value:.2f}" for value in figures.values()]
    assert captured.out.splitlines()[-1].split() == ["answer", "recall,", "%", *shown]
    assert "No figures of demo are published for trivia-test" in captured.err

    before = len(server.asked)
    assert run() == 0
    assert "0 uploaded, 60 unchanged" in capsys.readouterr().err
    assert len(server.asked) == before


def test_download_only(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--download-only") == 0
    assert "are complete and verified" in capsys.readouterr().err
    assert not (tmp_path / "db").exists()
    assert (tmp_path / "reproduce_data" / "psgs_w100.tsv.gz").exists()


def test_a_trial_downloads_little_more_than_it_needs(
    run,
    fetching: ModuleType,
    server: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(fetching, "GZIPPED_BYTES_PER_ROW", 100)
    assert run("--limit", "10") == 0
    captured = capsys.readouterr()
    assert "10 points" in captured.err
    assert "10 questions in" in captured.err
    assert "these are for 10 and only show that everything runs" in captured.err
    folder = tmp_path / "reproduce_data"
    part = folder / "psgs_w100.tsv.gz.part"
    assert 4000 < part.stat().st_size < len(server.files[PASSAGES])
    first = (folder / "first-10-psgs_w100.tsv").read_bytes()
    assert (DATA / "passages.tsv").read_bytes().startswith(first)
    assert len(first.splitlines()) == 11

    fetching.fetch(server.url, fetching.RemoteTable(PASSAGES, 60, header=True), folder)
    assert (folder / "psgs_w100.tsv.gz").read_bytes() == server.files[PASSAGES]
    assert server.asked[-1][1] is not None


def fetched(fetching: ModuleType, server: FileServer, folder: Path, rows: int = 60) -> Path:
    path: Path = fetching.fetch(
        server.url, fetching.RemoteTable(PASSAGES, rows, header=True), folder
    )
    return path


def test_a_changed_file_is_downloaded_again(
    fetching: ModuleType, server: FileServer, tmp_path: Path
) -> None:
    part = tmp_path / "psgs_w100.tsv.gz.part"
    fetching.download(f"{server.url}/{PASSAGES}", part, at_least=5000)
    part.write_bytes(b"x" * part.stat().st_size)
    server.etag = '"two"'
    assert fetched(fetching, server, tmp_path).read_bytes() == server.files[PASSAGES]


def test_a_server_without_ranges_restarts_the_download(
    fetching: ModuleType, server: FileServer, tmp_path: Path
) -> None:
    server.ranges = False
    server.cut_after = [3000]
    assert fetched(fetching, server, tmp_path).read_bytes() == server.files[PASSAGES]


def test_a_complete_part_is_used(fetching: ModuleType, server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "psgs_w100.tsv.gz.part").write_bytes(server.files[PASSAGES])
    assert fetched(fetching, server, tmp_path).read_bytes() == server.files[PASSAGES]
    assert server.sent == 0


def test_attempts_without_progress_are_limited(
    fetching: ModuleType, server: FileServer, tmp_path: Path
) -> None:
    server.cut_after = [0] * 100
    with pytest.raises(fetching.ReproductionError, match="Run this again to resume"):
        fetched(fetching, server, tmp_path)
    assert len(server.asked) == fetching.MAX_ATTEMPTS


def test_a_missing_file_is_not_retried(
    fetching: ModuleType, server: FileServer, tmp_path: Path
) -> None:
    with pytest.raises(fetching.ReproductionError, match="404"):
        fetching.download(f"{server.url}/nothing", tmp_path / "x.part")
    assert len(server.asked) == 1


def test_a_wrong_number_of_rows_is_refused(
    fetching: ModuleType, server: FileServer, tmp_path: Path
) -> None:
    with pytest.raises(fetching.ReproductionError, match="has 60 rows, but must have 61"):
        fetched(fetching, server, tmp_path, rows=61)


def test_damage_is_detected_at_once_and_later(
    fetching: ModuleType, server: FileServer, tmp_path: Path
) -> None:
    good = server.files[PASSAGES]
    damaged = bytearray(good)
    damaged[len(good) // 2] ^= 1
    server.files = {PASSAGES: bytes(damaged)}
    with pytest.raises(fetching.ReproductionError, match="damaged or truncated"):
        fetched(fetching, server, tmp_path)
    (tmp_path / "psgs_w100.tsv.gz").unlink()
    server.files = {PASSAGES: good}
    path = fetched(fetching, server, tmp_path)
    path.write_bytes(gzip.compress(gzip.decompress(good), mtime=7))
    with pytest.raises(fetching.ReproductionError, match="has changed"):
        fetched(fetching, server, tmp_path)
