"""`encode`, and `ingest` of what it wrote, as people see them."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from rdr_qdrant import RDREmbeddings
from rdr_qdrant.cli import encode_command as encode
from rdr_qdrant.encoding import EncodedBatch, Encoder
from rdr_qdrant.encoding.tokenizer import Tokens
from rdr_qdrant.export import exporter
from tests.cli.conftest import Command


def test_encode_here_and_load_there_without_a_model(
    command: Command, pair: list[str], tsv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("encode", tsv, "-o", "out", "--json", *pair)
    outcome = command(*arguments)
    assert outcome.status == 0
    assert (outcome.json["encoded"], outcome.json["shards"]) == (2, 1)
    assert command(*arguments).json["kept"] == 2
    with monkeypatch.context() as patch:
        patch.delattr(RDREmbeddings, "_encoder")
        patch.delattr(Encoder, "__init__")
        loaded = command("ingest", "out", "-c", "c", "--json")
        assert (loaded.status, loaded.json["uploaded"], loaded.json["verified"]) == (0, 2, 2)
        assert command("ingest", "./out/", "-c", "c", "--json").json["unchanged"] == 2
    found = command("search", "river", "-c", "c", "--json", *pair)
    assert {hit["metadata"]["source"] for hit in found.json} == {str(tsv)}
    assert command("ingest", tsv, "-c", "c", "--json", *pair).json["unchanged"] == 2


def test_an_interrupted_encoding_tells_what_it_kept_and_goes_on(
    command: Command, pair: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f'{{"id": "{n}", "text": "river {n}"}}' for n in range(12)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    original = RDREmbeddings.encode_batches
    windows: list[int] = []

    def interrupted(self: RDREmbeddings, tokens: Future[Tokens]) -> Iterator[EncodedBatch]:
        windows.append(1)
        if len(windows) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, tokens)

    arguments = ("encode", "a.jsonl", "-o", "out", "--batch-size", "2", *pair)
    with monkeypatch.context() as patch:
        patch.setattr(RDREmbeddings, "encode_batches", interrupted)
        outcome = command(*arguments)
    assert outcome.status == 130
    assert "Everything done is kept; run the same command to resume." in outcome.err
    kept = int(re.search(r"\((\d+) passages in 1 shard", outcome.out)[1])
    assert 4 <= kept < 12
    assert f"encoded    {kept} " in outcome.out
    report = command(*arguments, "--json").json
    assert (report["kept"], report["encoded"], report["read"]) == (kept, 12 - kept, 12)


def test_rows_that_are_set_aside_are_written_once_however_often_it_runs(
    command: Command, pair: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "river"}\nbroken\n')
    for _ in range(2):
        outcome = command("encode", "a.jsonl", "-o", "out", "--rejects", "r.jsonl", *pair)
        assert outcome.status == 3
        assert "Rejected: 1 x not JSON" in outcome.err
        assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 1
    assert "rejected   1" in outcome.out


def test_half_floats_are_told_where_they_are_loaded_since_they_stay(
    command: Command, pair: list[str], tsv: Path
) -> None:
    assert command("encode", tsv, "-o", "half", "--float16", *pair).status == 0
    assert command("encode", tsv, "-o", "whole", *pair).status == 0
    told = "Rounded: the vectors of half are half floats (11 bits)."
    assert told in command("ingest", "half", "-c", "c").err
    again = command("ingest", "whole", "-c", "c", "--json")
    assert (again.json["unchanged"], "Rounded" in again.err) == (2, False)
    anew = command("ingest", "whole", "-c", "c", "--recreate", "--yes", "--json")
    assert (anew.json["uploaded"], "Rounded" in anew.err) == (2, False)
    assert "Rounded" not in command("ingest", "half", "-c", "c").err  # nothing was written


def test_a_prune_that_a_rejected_row_of_encode_prevents_is_reported(
    command: Command, pair: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "river"}\n{"id": "2", "text": "sea"}\n')
    assert command("encode", "a.jsonl", "-o", "old", *pair).status == 0
    assert "pruned" not in command("ingest", "old", "-c", "c", "--prune").err
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "river"}\nbroken\n')
    assert command("encode", "a.jsonl", "-o", "new", *pair).status == 3
    outcome = command("ingest", "new", "-c", "c", "--prune", "--json")
    assert (outcome.status, outcome.json["removed"], outcome.json["points"]) == (0, None, 2)
    assert "Nothing was pruned: encode rejected 1 record of new" in outcome.err
    assert "pruned" not in command("ingest", "new", "-c", "c").err


def test_shards_without_a_manifest_are_no_documents(
    command: Command, pair: list[str], tsv: Path
) -> None:
    assert command("encode", tsv, "-o", "out", *pair).status == 0
    Path("out/manifest.json").unlink()
    for arguments in (("ingest", "out", "-c", "c"), ("encode", tsv, "-o", "out", *pair)):
        outcome = command(*arguments)
        [line] = outcome.errors
        assert outcome.status == 1
        assert "out has shards, but no manifest.json" in line
        assert "encode into a new folder" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ingest", "out", "-c", "c", "--model", "demo"], "leave out --model"),
        (["ingest", "out", "-c", "c", "--split", "9"], "leave out --split"),
        (["ingest", "out", "a.tsv", "-c", "c"], "load them by two commands"),
        (["encode", "out", "-o", "more"], "out is encoded already: rdr-qdrant ingest out"),
        (["plan", "out"], "out is encoded already: rdr-qdrant ingest out"),
        (["plan", "a.tsv", "out"], "out is encoded already: rdr-qdrant ingest out"),
        (["split", "out"], "out is encoded already: rdr-qdrant ingest out"),
        (["bench", "out"], "out is encoded already: rdr-qdrant ingest out"),
        (["encode", "a.tsv", "-o", "out", "--rejects", "out/r"], "which is for encoded files only"),
    ],
)
def test_what_does_not_go_together_is_told(
    command: Command, pair: list[str], tsv: Path, arguments: list[str], message: str
) -> None:
    tsv.rename("a.tsv")
    assert command("encode", "a.tsv", "-o", "out", *pair).status == 0
    outcome = command(*arguments)
    assert outcome.status == 2
    assert message in outcome.err


def test_the_shard_size_of_the_command_is_that_of_the_library() -> None:
    assert encode.SHARD_SIZE == exporter.SHARD_SIZE
