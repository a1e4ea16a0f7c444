"""Encoded here, loaded there: the same points, in as many goes as it takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import QdrantLoader, RDREmbeddings, ShardEncoder, ShardFolder
from rdr_qdrant.encoding import EncodedBatch
from rdr_qdrant.encoding.tokens import Tokens
from rdr_qdrant.errors import CollectionError, OutputError, SourceError, UsageError
from rdr_qdrant.readers import Reject, open_source
from rdr_qdrant.shards import EncodeReport, is_shard_folder, vectors_of
from tests.conftest import COLLECTION

Encode = Callable[..., EncodeReport]


def rows(numbers: range, word: str = "river") -> str:
    """JSON Lines with metadata of several kinds; every third text is longer than the others."""
    lines = []
    for n in numbers:
        row = {"id": f"p{n}", "text": f"the {word} number {n} " * (1 + 2 * (n % 3 == 0))}
        if n % 2:
            row |= {"title": f"{word} {n}", "year": n, "of": {"kings": [1.5, None, "é"]}}
        lines.append(json.dumps(row))
    return "\n".join(lines) + "\n"


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """Two files with a broken row, a row that stands twice, and two rows with one id."""
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text(rows(range(20)) + "broken\n")
    two.write_text(rows(range(3, 4)) + rows(range(20, 33)) + rows(range(5, 6), word="king"))
    return [one, two]


@pytest.fixture
def encode(tmp_path: Path, tiny: RDREmbeddings, sources: list[Path]) -> Encode:
    def encode(*, embeddings: RDREmbeddings = tiny, **options: object) -> EncodeReport:
        opened = [open_source(path) for path in options.pop("sources", sources)]
        split = options.pop("split", None)
        settings = {"folder": tmp_path / "shards", "shard_size": 7, "batch_size": 3, **options}
        return ShardEncoder(embeddings=embeddings, **settings).encode_sources(opened, split=split)

    return encode


def load(client: QdrantClient, name: str, *folders: Path, prune: bool = False, **options: object):
    opened = [ShardFolder(folder) for folder in folders]
    loader = QdrantLoader(
        embeddings=vectors_of(opened), client=client, collection_name=name, **options
    )
    return loader.load_sources([s for one in opened for s in one.sources()], prune=prune)


def everything(client: QdrantClient, name: str) -> dict[object, tuple[object, np.ndarray]]:
    points, _ = client.scroll(name, limit=1000, with_vectors=True)
    return {point.id: (point.payload, np.array(point.vector)) for point in points}


def assert_equal(client: QdrantClient, one: str, other: str, tolerance: float) -> None:
    ours, theirs = everything(client, one), everything(client, other)
    assert ours.keys() == theirs.keys()
    for key, (payload, vector) in ours.items():
        assert payload == theirs[key][0]
        assert np.abs(vector - theirs[key][1]).max() <= tolerance


def shards_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_encoded_and_loaded_is_the_same_as_ingested(
    client: QdrantClient, tiny: RDREmbeddings, encode: Encode, sources: list[Path], tmp_path: Path
) -> None:
    rejected: list[Reject] = []
    report = encode(on_reject=rejected.append)
    assert (report.read, report.encoded, report.rejected, report.repeated) == (36, 33, 2, 1)
    assert (report.passages, report.shards) == (33, 5)
    direct: list[Reject] = []
    loader = QdrantLoader(
        embeddings=tiny, client=client, collection_name=f"{COLLECTION}-a", on_reject=direct.append
    )
    once = loader.load_sources([open_source(path) for path in sources])
    assert rejected == direct
    twice = load(client, f"{COLLECTION}-b", tmp_path / "shards")
    assert (twice.uploaded, twice.verified, twice.truncated) == (33, 33, once.truncated)
    assert_equal(client, f"{COLLECTION}-a", f"{COLLECTION}-b", 1e-5)
    assert load(client, f"{COLLECTION}-a", tmp_path / "shards").unchanged == 33
    direct_again = loader.load_sources([open_source(path) for path in sources])
    assert direct_again.uploaded == 0


def test_half_floats_are_half_as_large_and_close(
    client: QdrantClient, tiny: RDREmbeddings, encode: Encode, tmp_path: Path
) -> None:
    encode()
    encode(folder=tmp_path / "half", vectors="float16")
    load(client, f"{COLLECTION}-a", tmp_path / "shards")
    assert load(client, f"{COLLECTION}-b", tmp_path / "half").compared == 33
    assert_equal(client, f"{COLLECTION}-a", f"{COLLECTION}-b", 0.02)
    schema = pq.read_schema(tmp_path / "half" / "shard-00000.parquet")
    assert str(schema.field("vector").type).startswith("fixed_size_list<element: halffloat")


def test_an_interrupted_encoding_goes_on_and_encodes_no_finished_shard_again(
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
    assert (report.kept, report.encoded, report.rejected, sum(encoded)) == (14, 19, 2, 19)
    after = shards_of(tmp_path / "shards")
    assert after == shards_of(tmp_path / "whole")
    assert not list((tmp_path / "shards").glob("*.part"))
    assert not list((tmp_path / "shards").glob(".*.part"))


def test_a_stopped_encoding_says_so_and_goes_on(
    tiny: RDREmbeddings, sources: list[Path], tmp_path: Path
) -> None:
    encoder: list[ShardEncoder] = []

    def stop(report: EncodeReport) -> None:
        if report.encoded >= 9:
            encoder[0].stop()

    source = open_source(sources[0])
    made = ShardEncoder(
        embeddings=tiny, folder=tmp_path / "s", shard_size=4, batch_size=2, on_progress=stop
    )
    encoder.append(made)
    report = made.encode_sources([source])
    assert report.interrupted
    assert report.encoded == report.passages == 4 * report.shards
    assert 4 <= report.encoded < 20
    again = ShardEncoder(embeddings=tiny, folder=tmp_path / "s", shard_size=4, batch_size=2)
    rest = again.encode_sources([open_source(sources[0])])
    assert (rest.kept, rest.encoded) == (report.encoded, 20 - report.encoded)


def test_one_flipped_byte_is_refused_by_name_and_made_anew(
    client: QdrantClient, encode: Encode, tmp_path: Path
) -> None:
    encode()
    before = shards_of(tmp_path / "shards")
    path = tmp_path / "shards" / "shard-00001.parquet"
    for position in (0, 200, len(before[path.name]) - 9):
        damaged = bytearray(before[path.name])
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(SourceError, match=r"shard-00001\.parquet is damaged: its SHA-256"):
            load(client, COLLECTION, tmp_path / "shards", batch_size=7)
        ids = everything(client, COLLECTION) if client.collection_exists(COLLECTION) else {}
        assert len(ids) <= 7  # nothing of the damaged shard
    report = encode()
    assert (report.kept, report.encoded) == (26, 7)
    assert shards_of(tmp_path / "shards") == before
    path.unlink()
    with pytest.raises(SourceError, match=r"Cannot read .*shard-00001\.parquet"):
        load(client, COLLECTION, tmp_path / "shards")
    assert encode().encoded == 7


def test_a_manifest_that_was_altered_is_refused(encode: Encode, tmp_path: Path) -> None:
    encode()
    manifest = tmp_path / "shards" / "manifest.json"
    whole = manifest.read_text()
    for altered in (whole.replace('"passages": 33', '"passages": 34'), whole[:-40], "[]"):
        manifest.write_text(altered)
        assert is_shard_folder(manifest.parent)
        with pytest.raises(SourceError, match=r"manifest\.json is damaged, or was altered"):
            ShardFolder(manifest.parent)


def test_other_options_sources_or_encoders_do_not_go_on(
    encode: Encode, other: RDREmbeddings, sources: list[Path], tmp_path: Path
) -> None:
    encode()
    before = shards_of(tmp_path / "shards")
    for options, message in [
        ({"shard_size": 8}, "begun with shard size 7, not 8"),
        ({"vectors": "float16"}, "begun with vectors float32, not float16"),
        ({"split": 5}, "begun with split None, not 5"),
        ({"sources": sources[:1]}, "begun with sources .*two.jsonl, not .*one.jsonl"),
        ({"embeddings": other}, "begun by .*context.* not .*other"),
    ]:
        with pytest.raises(UsageError, match=message):
            encode(**options)
    text = sources[1].read_text()
    for changed in (text.replace("number 25", "number 26"), text[: len(text) // 2]):
        sources[1].write_text(changed)
        with pytest.raises(SourceError, match="changed since .* Encode into another folder"):
            encode()
    assert shards_of(tmp_path / "shards") == before


def test_a_folder_with_other_things_and_a_folder_in_use_are_left_alone(
    encode: Encode, tmp_path: Path
) -> None:
    from rdr_qdrant.shards.files import held

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds other files"):
        encode(folder=tmp_path / "mine")
    assert not is_shard_folder(tmp_path / "mine")
    encode()
    with (
        held(tmp_path / "shards"),
        pytest.raises(OutputError, match="Another process is encoding into"),
    ):
        encode()


def test_another_pairs_collection_is_refused(
    client: QdrantClient, encode: Encode, other: RDREmbeddings, tmp_path: Path
) -> None:
    encode()
    encode(folder=tmp_path / "other", embeddings=other)
    load(client, COLLECTION, tmp_path / "shards")
    with pytest.raises(CollectionError, match="was made with"):
        load(client, COLLECTION, tmp_path / "other")
    with pytest.raises(UsageError, match="do not belong into one collection"):
        load(client, COLLECTION, tmp_path / "shards", tmp_path / "other")


def test_a_collection_made_of_shards_is_searched_by_its_pair(
    client: QdrantClient, encode: Encode, tiny: RDREmbeddings, tmp_path: Path
) -> None:
    from rdr_qdrant import RDRRetriever

    encode()
    load(client, COLLECTION, tmp_path / "shards")
    retriever = RDRRetriever(embeddings=tiny, client=client, collection_name=COLLECTION, k=3)
    assert len(retriever.invoke("river number 7")) == 3


def test_shards_prune_by_the_sources_they_were_made_of(
    client: QdrantClient, encode: Encode, sources: list[Path], tmp_path: Path
) -> None:
    sources[0].write_text(rows(range(20)))
    encode()
    load(client, COLLECTION, tmp_path / "shards")
    sources[0].write_text(rows(range(15)))
    encode(folder=tmp_path / "later")
    report = load(client, COLLECTION, tmp_path / "later", prune=True, dry_run=True)
    assert (report.removed, report.points) == (5, 33)
    report = load(client, COLLECTION, tmp_path / "later", prune=True)
    assert (report.removed, report.points, report.unchanged) == (5, 28, 28)


def test_shards_of_sources_with_unreadable_rows_prune_nothing(
    client: QdrantClient, encode: Encode, tmp_path: Path
) -> None:
    encode()
    assert load(client, COLLECTION, tmp_path / "shards", prune=True).removed is None


def test_a_row_that_is_not_what_was_encoded_is_set_aside(
    client: QdrantClient, encode: Encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode()
    monkeypatch.setattr("rdr_qdrant.shards.folder.check_shard", lambda path, shard: None)
    path = tmp_path / "shards" / "shard-00000.parquet"
    table = pq.read_table(path)
    texts = table.column("text").to_pylist()
    texts[2] = "forged"
    place = table.schema.get_field_index("text")
    table = table.set_column(place, table.schema.field("text"), [texts])
    pq.write_table(table.cast(pq.read_schema(path)), path)
    rejected: list[Reject] = []
    report = load(client, COLLECTION, tmp_path / "shards", on_reject=rejected.append)
    assert (report.uploaded, report.rejected) == (32, 1)
    assert rejected[0].line == 3
    assert rejected[0].reason == "its content hash is not that of its title and text"
