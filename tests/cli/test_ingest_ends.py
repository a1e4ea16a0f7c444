"""How `ingest` ends, and what it says then."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from rdr_qdrant import LoadReport, QdrantLoader
from rdr_qdrant.encoding import EncodedBatch
from rdr_qdrant.encoding.tokenizer import Tokens
from tests.cli.conftest import Command
from tests.support.faults import ResetAfter, Status
from tests.support.qdrant_http_server import QdrantHTTPServer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"id": "{n}", "text": "river {n}"}}\n' for n in range(8)))
    return path


def on_first_batch(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something once, after the first batch was encoded."""
    from rdr_qdrant import RDREmbeddings

    original, done = RDREmbeddings.encode_batches, []

    def encode_and_act(self: RDREmbeddings, tokens: Future[Tokens]) -> Iterator[EncodedBatch]:
        for batch in original(self, tokens):
            if not done:
                done.append(True)
                act()
            yield batch

    monkeypatch.setattr(RDREmbeddings, "encode_batches", encode_and_act)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_batch_reports_and_exits_with_130(
    command: Command,
    pair: list[str],
    rows: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    rows.write_text("".join(f'{{"id": "{n}", "text": "river {n}"}}\n' for n in range(200)))
    before = signal.getsignal(number)
    on_first_batch(monkeypatch, lambda: signal.raise_signal(number))
    arguments = ("ingest", rows, "-c", "c", "--batch-size", "3", "--json", *pair)
    outcome = command(*arguments)
    assert outcome.status == 130
    assert outcome.json["interrupted"]
    done = outcome.json["uploaded"]
    assert 0 < done == outcome.json["points"] < 200
    assert "run the same command to resume" in outcome.err
    assert signal.getsignal(number) == before
    again = command(*arguments)
    assert (again.status, again.json["unchanged"], again.json["uploaded"]) == (0, done, 200 - done)


SCRIPT = """
import sys, threading, time
from rdr_qdrant.cli.graceful_shutdown import stop_on_signal

class Work:
    def stop(self):
        return False

with stop_on_signal(Work()):
    print("ready", flush=True)
    while True:
        time.sleep(0.05)
"""


def test_a_second_ctrl_c_leaves_at_once() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, said = process.communicate(timeout=5)
    assert process.returncode == 130
    assert time.monotonic() - started < 1
    assert "Press Ctrl-C again to stop at once" in said
    assert "Traceback" not in said


def test_strict_stops_at_the_first_row(command: Command, pair: list[str], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "1", "text": "river"}\n{"id": "2", "text": ""}\nno json\n')
    outcome = command("ingest", path, "-c", "c", "--strict", "--rejects", "bad.jsonl", *pair)
    assert outcome.status == 1
    [line] = outcome.errors
    assert f"(--strict): {path}, line 2: text is empty." in line
    [written] = (tmp_path / "bad.jsonl").read_text().splitlines()
    assert json.loads(written)["line"] == 2


def test_a_dry_run_and_a_prune_say_what_they_do(
    command: Command, pair: list[str], rows: Path, tmp_path: Path
) -> None:
    ingest = ("ingest", rows, "-c", "c", "--prune", "--json", *pair)
    planned = command(*ingest, "--dry-run")
    assert (planned.status, planned.json["uploaded"], planned.json["points"]) == (0, 8, 0)
    assert not (tmp_path / "qdrant_data").exists()
    done = command(*ingest).json
    assert (done["uploaded"], done["removed"], done["verified"]) == (8, 0, 8)
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[2:]))
    assert command(*ingest, "--dry-run").json["removed"] == 2
    outcome = command("ingest", rows, "-c", "c", "--prune", *pair)
    assert "removed     2" in outcome.out
    assert "verified    6 points found, 6 of them read back and equal" in outcome.out
    rows.write_text(rows.read_text() + "broken\n")
    outcome = command(*ingest)
    assert (outcome.status, outcome.json["removed"]) == (3, None)
    assert "Nothing was pruned" in outcome.err


def test_recreate_wants_to_be_sure(
    command: Command, pair: list[str], rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("ingest", rows, "-c", "c", *pair)
    rows.write_text('{"id": "a", "text": "river"}\n')
    ingest = ("ingest", rows, "-c", "c", "--recreate", "--json", *pair)
    refused = command(*ingest)
    assert refused.status == 2
    assert "add --yes" in refused.errors[0]
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for typed, status, points in (("x", 2, None), ("c", 0, 1)):
        monkeypatch.setattr("typer.prompt", lambda *args, typed=typed, **kwargs: typed)
        outcome = command(*ingest)
        assert outcome.status == status
        if points:
            assert outcome.json["points"] == points
    assert command(*ingest, "--yes").json["uploaded"] == 1


def test_retries_are_shown_and_pluralize(
    command: Command, pair: list[str], rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rdr_qdrant.cli.progress.SECONDS_BETWEEN_LINES", 0.0)
    with QdrantHTTPServer() as server:
        server.inject(ResetAfter(), match="PUT .*/points")
        server.inject(Status(503), match="PUT .*/points")
        outcome = command("ingest", rows, "-c", "c", "--url", server.url, "--json", *pair)
    assert outcome.status == 0
    assert (outcome.json["retries"], outcome.json["points"], outcome.json["verified"]) == (2, 8, 8)
    assert "Qdrant: answer 503, retrying in" in outcome.err


def test_a_server_that_stays_away_is_one_line_and_what_was_done_is_kept(
    command: Command, pair: list[str], rows: Path
) -> None:
    with QdrantHTTPServer() as server:
        ingest = ("ingest", rows, "-c", "c", "--url", server.url, "--batch-size", "2", *pair)
        loader = QdrantLoader.load_sources

        def then_away(self: QdrantLoader, *args: object, **kwargs: object) -> LoadReport:
            told = self.on_progress

            def on_progress(report: LoadReport) -> None:
                assert told
                told(report)
                if report.read >= 4:
                    server.inject(Status(500), times=9999)

            self.on_progress = on_progress
            return loader(self, *args, **kwargs)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(QdrantLoader, "load_sources", then_away)
            outcome = command(*ingest, "--retry-for", "0.3")
        assert outcome.status == 1
        [line] = outcome.errors
        assert "(500): Injected fault: 500" in line
        done = re.search(r"Done and kept: (\d+) passages; run the same command", outcome.err)
        assert done
        server.clear_faults()
        assert command(*ingest, "--json").json["unchanged"] >= int(done[1]) >= 4


def test_nothing_that_was_read_commands_the_terminal(
    command: Command, pair: list[str], tmp_path: Path
) -> None:
    name = "[red]x[bold]\x1b[31m.jsonl"
    row = {
        "id": "[bold]1\x1b]0;t\x07",
        "text": "\x1b[2J [link=http://x]river[/link]",
        "title": "[/]",
    }
    (tmp_path / name).write_text(
        json.dumps(row) + "\n" + json.dumps({"text": "\x1b[31m"}) + "\n{\n"
    )
    outcome = command("ingest", name, "-c", "c", *pair)
    assert outcome.status == 3
    found = command("search", "river", "-c", "c", *pair)
    assert "[link=http://x]river[/link]" in found.out
    with QdrantHTTPServer() as server:
        body = '{"status": {"error": "[red]no\\u001b[31m"}, "time": 0}'
        server.inject(Status(400, body=body), times=5)
        failed = command("info", "-c", "c", "--url", server.url)
    assert "[red]no" in failed.err
    for said in (outcome, found, failed):
        assert "\x1b" not in said.out + said.err


def test_the_key_shows_nowhere(
    pair: list[str], rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in output, reports, rejects, tracebacks of --debug, nor in the process list."""
    key = "k3y-that-nobody-may-see"
    (tmp_path / "key").write_text(key)
    rows.write_text(rows.read_text() + "broken\n")
    with QdrantHTTPServer(api_key=key) as server:
        command = [sys.executable, "-m", "rdr_qdrant", "ingest", str(rows), "-c", "c", *pair]
        command += ["--url", server.url, "--rejects", str(tmp_path / "bad"), "--json", "--debug"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with_file = [*command, "--api-key-file", str(tmp_path / "key")]
        process = subprocess.Popen(
            with_file, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        listed = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        out, err = process.communicate(timeout=120)
        assert process.returncode == 3, err
        server.inject(Status(400), times=99, match="PUT .*/points")
        rows.write_text('{"id": "other", "text": "other"}\n')
        environment["QDRANT_API_KEY"] = key
        failed = subprocess.run(command, capture_output=True, env=environment, check=False)
        assert b"Traceback" in failed.stderr
    everything = [listed, out, err, failed.stdout, failed.stderr, (tmp_path / "bad").read_bytes()]
    assert not any(key.encode() in text for text in everything)


UNCHANGED = """
import sys
from rdr_qdrant.cli.app import run

for extra in ([], ["--dry-run"], ["--prune"]):
    assert run([*sys.argv[1:], *extra]) == 0
    print(flush=True)
    assert not {"torch", "transformers"} & set(sys.modules), extra
"""


def test_what_is_unchanged_costs_no_start_of_the_encoder(
    command: Command, pair: list[str], tsv: Path, tmp_path: Path
) -> None:
    ingest = ["ingest", str(tsv), "-c", "c", *pair, "--json"]
    assert command(*ingest).json["uploaded"] == 2
    done = subprocess.run(
        [sys.executable, "-c", UNCHANGED, *ingest],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reports = [json.loads(line) for line in done.stdout.split("\n\n") if line]
    assert [report["unchanged"] for report in reports] == [2, 2, 2]


def test_a_source_that_changed_meanwhile_is_status_3(
    command: Command,
    pair: list[str],
    rows: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    load = QdrantLoader.load_sources

    def touched(self: QdrantLoader, *args: object, **kwargs: object) -> LoadReport:
        rows.write_text(rows.read_text() + "\n")
        return load(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(QdrantLoader, "load_sources", touched)
    for extra in ([], ["--dry-run"]):
        outcome = command("ingest", rows, "-c", "c", "--prune", "--json", *extra, *pair)
        assert outcome.status == 3
        assert "changed while it was read" in caplog.text
        assert outcome.json["removed"] is None
        assert len(outcome.json["changed_sources"]) == 1


def test_quotes_can_be_plain_characters(command: Command, pair: list[str], tmp_path: Path) -> None:
    text = 'id\ttext\n1\t"Stay here.\n2\tI shall be back."\n'
    (tmp_path / "a.tsv").write_text(text)
    loaded = command("ingest", "a.tsv", "-c", "c", "--quoting", "none", "--json", *pair)
    assert (loaded.status, loaded.json["uploaded"]) == (0, 2)
    merged = command("ingest", "a.tsv", "-c", "d", "--json", *pair)
    assert merged.status in (1, 3)
    assert "--quoting none" in merged.err
    assert command("ingest", "a.tsv", "-c", "c", "--quoting", "some", *pair).status == 2
