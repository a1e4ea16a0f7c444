"""An encoding that was stopped, failed or killed goes on; nothing that was encoded is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rdr_qdrant import RDREmbeddings, ShardEncoder, ShardFolder
from rdr_qdrant.encoding import EncodedBatch, Side
from rdr_qdrant.encoding.tokenizer import Tokens
from rdr_qdrant.errors import OutputError, SourceError
from rdr_qdrant.export import EncodeReport
from rdr_qdrant.export.partial_file import UnfinishedShard
from rdr_qdrant.export.record import Record
from rdr_qdrant.readers import open_source
from rdr_qdrant.registry import PairIdentity
from tests.export.conftest import Encode, rows, shards_of

KILLED = """
import os, signal, sys
from rdr_qdrant import RDREmbeddings, ShardEncoder
from rdr_qdrant.registry import PairIdentity
from rdr_qdrant.readers import open_source

def kill(report):
    if report.encoded >= 9:
        os.kill(os.getpid(), signal.SIGKILL)

context, question, folder, *sources = sys.argv[1:]
pair = RDREmbeddings(context_encoder=context, question_encoder=question)
ShardEncoder(
    embeddings=pair, folder=folder, batch_size=3, shard_size=7, on_progress=kill
).encode_sources([open_source(source) for source in sources])
"""


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    return tmp_path / "shards" / ".shard-00000.parquet.unfinished"


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


def test_a_failed_encoding_goes_on_and_encodes_nothing_again(
    encode: Encode, tiny: RDREmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode(folder=tmp_path / "whole")
    encoded: list[int] = []
    original = RDREmbeddings.encode_batches

    def failing(self: RDREmbeddings, tokens: Tokens) -> Iterator[EncodedBatch]:
        encoded.append(len(tokens.ids))
        if len(encoded) == 8:
            raise RuntimeError("killed")
        return original(self, tokens)

    monkeypatch.setattr(RDREmbeddings, "encode_batches", failing)
    with pytest.raises(RuntimeError, match="killed"):
        encode()
    kept = shards_of(tmp_path / "shards")
    assert list(kept) == ["shard-00000.parquet", "shard-00001.parquet"]
    with pytest.raises(SourceError, match=r"not complete: 14 passages .* it goes on"):
        ShardFolder(tmp_path / "shards")
    encoded.clear()
    encoded.extend([0] * 8)  # fails no more
    report = encode()
    assert (report.kept, report.encoded, report.rejected, sum(encoded)) == (17, 16, 2, 16)
    after = shards_of(tmp_path / "shards")
    assert after == shards_of(tmp_path / "whole")
    assert not list((tmp_path / "shards").glob("*.part"))
    assert not list((tmp_path / "shards").glob(".*.part"))


def test_a_stopped_encoding_keeps_the_batches_of_its_unfinished_shard(
    encode: Encode, stopped: EncodeReport, tmp_path: Path
) -> None:
    assert stopped.interrupted
    assert 9 <= stopped.encoded < 33
    assert stopped.read == stopped.encoded + stopped.rejected + stopped.repeated
    assert (stopped.passages, stopped.shards, stopped.unfinished) == (0, 0, stopped.encoded)
    rest = encode(shard_size=16_384)
    assert (rest.kept, rest.encoded) == (stopped.encoded, 33 - stopped.encoded)
    assert (rest.read, rest.passages, rest.shards, rest.unfinished) == (36, 33, 1, 0)
    encode(folder=tmp_path / "whole", shard_size=16_384)
    assert shards_of(tmp_path / "shards") == shards_of(tmp_path / "whole")
    names = {path.name for path in (tmp_path / "shards").iterdir()}
    assert names == {"manifest.json", "shard-00000.parquet", ".encode.lock"}


def test_a_killed_encoding_keeps_what_was_written(
    encode: Encode, tiny_pair: tuple[str, str], sources: list[Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED, *tiny_pair, tmp_path / "shards", *sources]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    report = encode()
    assert report.kept >= 9
    assert report.kept + report.encoded == 33
    encode(folder=tmp_path / "whole")
    assert shards_of(tmp_path / "shards") == shards_of(tmp_path / "whole")


@pytest.mark.parametrize("harm", ["torn", "flipped", "garbage", "empty"])
def test_damage_to_what_is_unfinished_costs_only_what_follows(
    encode: Encode, stopped: EncodeReport, unfinished: Path, tmp_path: Path, harm: str
) -> None:
    whole = unfinished.read_bytes()
    harmed = {
        "torn": whole[:-1],
        "flipped": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:],
        "garbage": whole + b'{"rows": 3}\n' + whole,
        "empty": b"",
    }[harm]
    unfinished.write_bytes(harmed)
    kept = {"garbage": stopped.encoded, "empty": 0}.get(harm, stopped.encoded - 3)
    assert encode(shard_size=16_384).kept == kept
    encode(folder=tmp_path / "whole", shard_size=16_384)
    assert shards_of(tmp_path / "shards") == shards_of(tmp_path / "whole")


def test_unfinished_batches_whose_rows_changed_are_encoded_again(
    encode: Encode, stopped: EncodeReport, sources: list[Path], tmp_path: Path
) -> None:
    text = sources[0].read_text()
    sources[0].write_text(text.replace("river number 4 ", "pond number 4 "))
    report = encode(shard_size=16_384)
    assert (report.kept, report.encoded, report.passages) == (3, 30, 33)
    encode(folder=tmp_path / "whole", shard_size=16_384)
    assert shards_of(tmp_path / "shards") == shards_of(tmp_path / "whole")


def test_sources_that_became_shorter_take_over_only_what_they_still_have(
    encode: Encode, stopped: EncodeReport, sources: list[Path], tmp_path: Path
) -> None:
    sources[0].write_text(rows(range(5)))
    sources[1].write_text("")
    options = {"shard_size": 16_384, "sources": sources}
    sources[1].write_text(rows(range(20, 22)))
    report = encode(**options)
    assert (report.kept, report.encoded, report.passages) == (3, 4, 7)
    encode(folder=tmp_path / "whole", **options)
    assert shards_of(tmp_path / "shards") == shards_of(tmp_path / "whole")


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_it_goes_on_with_another_batch_size(
    encode: Encode, stopped: EncodeReport, tmp_path: Path, batch_size: int
) -> None:
    report = encode(shard_size=16_384, batch_size=batch_size)
    assert report.kept == stopped.encoded
    encode(folder=tmp_path / "whole", shard_size=16_384)
    ours, theirs = (
        pq.read_table(tmp_path / name / "shard-00000.parquet").drop(["vector"])
        for name in ("shards", "whole")
    )
    assert ours.equals(theirs)


def test_a_batch_that_could_not_be_written_leaves_no_shard_with_a_hole(
    encode: Encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode(folder=tmp_path / "whole")
    original = UnfinishedShard.add
    calls: list[int] = []

    def full(self: UnfinishedShard, *arguments: object) -> None:
        calls.append(1)
        if len(calls) == 5:
            raise OutputError("no space left")
        original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(UnfinishedShard, "add", full)
        with pytest.raises(OutputError, match="no space left"):
            encode()
    assert list(shards_of(tmp_path / "shards")) == ["shard-00000.parquet"]
    assert encode().kept == 10
    assert shards_of(tmp_path / "shards") == shards_of(tmp_path / "whole")


def test_a_shard_in_its_place_that_the_manifest_does_not_know_yet_is_not_encoded_again(
    encode: Encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: Record, shard: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Record, "finish", killed)
        with pytest.raises(RuntimeError, match="killed"):
            encode()
    report = encode()
    assert report.kept >= 7
    encode(folder=tmp_path / "whole")
    assert shards_of(tmp_path / "shards") == shards_of(tmp_path / "whole")


def test_one_that_is_stopped_before_it_begins_tells_what_is_there(
    tiny: RDREmbeddings, sources: list[Path], tmp_path: Path, stopped: EncodeReport
) -> None:
    class Loading(RDREmbeddings):
        def identity(self, *sides: Side) -> PairIdentity:
            encoder.stop()
            raise KeyboardInterrupt

    pair = Loading(context_encoder=tiny.context_encoder, question_encoder=tiny.question_encoder)
    encoder = ShardEncoder(embeddings=pair, folder=tmp_path / "shards", batch_size=3)
    report = encoder.encode_sources([open_source(path) for path in sources])
    assert (report.interrupted, report.encoded, report.unfinished) == (True, 0, stopped.unfinished)
