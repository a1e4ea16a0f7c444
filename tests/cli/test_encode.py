"""`encode`, and `ingest` of what it wrote, as people see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdr_qdrant import RDREmbeddings
from rdr_qdrant.cli import encode
from rdr_qdrant.encoding import Encoder
from rdr_qdrant.shards import settings
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


def test_rows_that_are_set_aside_are_written_once_however_often_it_runs(
    command: Command, pair: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "river"}\nbroken\n')
    for _ in range(2):
        outcome = command("encode", "a.jsonl", "-o", "out", "--rejects", "r.jsonl", *pair)
        assert outcome.status == 3
        assert "Set aside: 1 x not JSON" in outcome.err
        assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 1
    assert "rejected   1" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ingest", "out", "-c", "c", "--model", "demo"], "leave out --model"),
        (["ingest", "out", "-c", "c", "--split", "9"], "leave out --split"),
        (["ingest", "out", "a.tsv", "-c", "c"], "load them by two commands"),
        (["encode", "out", "-o", "more"], "out is encoded already: rdr-qdrant ingest out"),
        (["encode", "a.tsv", "-o", "out", "--rejects", "out/r"], "which is for shards alone"),
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
    assert encode.SHARD_SIZE == settings.SHARD_SIZE
