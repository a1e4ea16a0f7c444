"""An encoding that was stopped, failed or killed is resumed; finished shards are kept."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from rdr_qdrant import RDREmbeddings, ShardEncoder, ShardFolder
from rdr_qdrant.encoding import EncodedBatch, Side
from rdr_qdrant.encoding.tokenizer import Tokens
from rdr_qdrant.errors import OutputError, SourceError
from rdr_qdrant.export import EncodeReport
from rdr_qdrant.export.manifest import Manifest
from rdr_qdrant.export.parquet_io import ShardFile
from rdr_qdrant.readers import open_source
from rdr_qdrant.registry import PairIdentity
from tests.export.conftest import Encode, assert_same_passages, passages_of, rows, shards_of

KILLED = """
import os, signal, sys
from rdr_qdrant import RDREmbeddings, ShardEncoder
from rdr_qdrant.readers import open_source

def kill(report):
    if report.shards >= 2:
        os.kill(os.getpid(), signal.SIGKILL)

context, question, folder, *sources = sys.argv[1:]
pair = RDREmbeddings(context_encoder=context, question_encoder=question)
ShardEncoder(
    embeddings=pair, folder=folder, batch_size=3, shard_size=7, on_progress=kill
).encode_sources([open_source(source) for source in sources])
"""


@pytest.fixture
def whole(encode: Encode, tmp_path: Path) -> Path:
    """The folder of an encoding that nothing interrupted."""
    encode(folder=tmp_path / "whole")
    return tmp_path / "whole"


@pytest.fixture
def stopped(tiny: RDREmbeddings, sources: list[Path], tmp_path: Path) -> EncodeReport:
    """An encoding that was stopped in its only shard, after some batches of 3."""

    def stop(report: EncodeReport) -> None:
        if report.encoded >= 9:
            encoder.stop()

    encoder = ShardEncoder(
        embeddings=tiny, folder=tmp_path / "shards", batch_size=3, on_progress=stop
    )
    return encoder.encode_sources([open_source(path) for path in sources])


def test_a_failed_encoding_is_resumed_and_encodes_nothing_again(
    encode: Encode, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    original = RDREmbeddings.encode_batches

    def failing(self: RDREmbeddings, tokens: Future[Tokens]) -> Iterator[EncodedBatch]:
        encoded.append(len(tokens.result().ids))
        if len(encoded) == 8:
            raise RuntimeError("no memory")
        return original(self, tokens)

    monkeypatch.setattr(RDREmbeddings, "encode_batches", failing)
    with pytest.raises(RuntimeError, match="no memory"):
        encode()
    kept = sum(encoded[:7])
    assert len(passages_of(tmp_path / "shards")) == kept
    with pytest.raises(SourceError, match=rf"not complete: {kept} passages .* to resume"):
        ShardFolder(tmp_path / "shards")
    encoded.clear()
    encoded.extend([0] * 8)  # fails no more
    report = encode()
    assert (report.kept, report.encoded, report.rejected) == (kept, 33 - kept, 2)
    assert sum(encoded) == 33 - kept
    assert_same_passages(tmp_path / "shards", whole)
    assert not list((tmp_path / "shards").glob(".*.part"))


def test_a_stopped_encoding_keeps_what_was_encoded_of_its_last_shard(
    encode: Encode, stopped: EncodeReport, whole: Path, tmp_path: Path
) -> None:
    assert stopped.interrupted
    assert 9 <= stopped.encoded < 33
    assert stopped.read == stopped.encoded + stopped.rejected + stopped.repeated
    assert (stopped.passages, stopped.shards) == (stopped.encoded, 1)
    rest = encode(shard_size=16_384)
    assert (rest.kept, rest.encoded) == (stopped.encoded, 33 - stopped.encoded)
    assert (rest.read, rest.passages, rest.shards) == (36, 33, 2)
    assert_same_passages(tmp_path / "shards", whole)
    names = {path.name for path in (tmp_path / "shards").iterdir()}
    assert names == {
        "manifest.json",
        "shard-00000.parquet",
        "shard-00001.parquet",
        ".encode.lock",
    }


def test_a_killed_encoding_keeps_its_finished_shards(
    encode: Encode, tiny_pair: tuple[str, str], sources: list[Path], whole: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED, *tiny_pair, tmp_path / "shards", *sources]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    report = encode()
    assert report.kept >= 7  # the kill may come between the second shard and its note
    assert report.kept + report.encoded == 33
    assert_same_passages(tmp_path / "shards", whole)
    assert [*shards_of(tmp_path / "shards")] == [*shards_of(whole)]


def test_a_shard_is_finished_after_some_time_even_if_it_is_not_full(
    encode: Encode, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rdr_qdrant.export.parquet_sink.SECONDS_PER_SHARD", 0.0)
    report = encode(shard_size=16_384)
    assert report.shards > 5
    assert_same_passages(tmp_path / "shards", whole)
    assert encode(shard_size=16_384).kept == 33


@pytest.mark.parametrize("change", ["another text", "fewer rows"])
def test_sources_that_changed_since_the_folder_was_begun_are_refused(
    encode: Encode, stopped: EncodeReport, sources: list[Path], tmp_path: Path, change: str
) -> None:
    before = shards_of(tmp_path / "shards")
    if change == "another text":
        text = sources[0].read_text()
        sources[0].write_text(text.replace("river number 4 ", "pond number 4 "))
        message = r"shard-00000\.parquet was made of other rows"
    else:
        sources[0].write_text(rows(range(2)))
        sources[1].write_text(rows(range(20, 22)))
        message = "they have 4 passages now, fewer than then"
    with pytest.raises(SourceError, match=f"changed since .* was begun: {message}"):
        encode(shard_size=16_384)
    assert shards_of(tmp_path / "shards") == before


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_it_is_resumed_with_another_batch_size(
    encode: Encode, stopped: EncodeReport, whole: Path, tmp_path: Path, batch_size: int
) -> None:
    report = encode(shard_size=16_384, batch_size=batch_size)
    assert report.kept == stopped.encoded
    assert_same_passages(tmp_path / "shards", whole)


def test_a_batch_that_could_not_be_written_leaves_no_shard_with_a_hole(
    encode: Encode, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ShardFile.append
    calls: list[int] = []

    def full(self: ShardFile, *arguments: object, **named: object) -> None:
        calls.append(1)
        if len(calls) == 5:
            raise OutputError("no space left")
        original(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(ShardFile, "append", full)
        with pytest.raises(OutputError, match="no space left"):
            encode()
    assert [*shards_of(tmp_path / "shards")] == ["shard-00000.parquet"]
    assert not list((tmp_path / "shards").glob(".*.part"))
    assert encode().kept == 7
    assert_same_passages(tmp_path / "shards", whole)


def test_a_shard_that_the_manifest_does_not_list_yet_is_replaced(
    encode: Encode, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Manifest.write

    def killed(self: Manifest, folder: Path) -> None:
        if len(self.shards) == 2:
            raise RuntimeError("killed")
        original(self, folder)

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "write", killed)
        with pytest.raises(RuntimeError, match="killed"):
            encode()
    assert encode().kept == 7
    assert_same_passages(tmp_path / "shards", whole)


def test_one_that_is_stopped_before_it_begins_reports_what_is_there(
    tiny: RDREmbeddings, sources: list[Path], tmp_path: Path, stopped: EncodeReport
) -> None:
    class Loading(RDREmbeddings):
        def identity(self, *sides: Side) -> PairIdentity:
            encoder.stop()
            raise KeyboardInterrupt

    pair = Loading(context_encoder=tiny.context_encoder, question_encoder=tiny.question_encoder)
    encoder = ShardEncoder(embeddings=pair, folder=tmp_path / "shards", batch_size=3)
    report = encoder.encode_sources(sources)
    assert (report.interrupted, report.encoded, report.passages) == (True, 0, stopped.passages)
