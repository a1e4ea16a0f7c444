"""Encoded here, loaded there: the same points."""

from __future__ import annotations

from pathlib import Path

import portalocker
import pyarrow.parquet as pq
import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.errors import CollectionError, OutputError, SourceError, UsageError
from rdr_qdrant.export import is_shard_folder
from rdr_qdrant.readers import Reject, open_source
from tests.conftest import COLLECTION
from tests.export.conftest import Encode, assert_equal, everything, load, rows, shards_of
from tests.support.qdrant_http_server import QdrantHTTPServer


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


def test_two_stores_loaded_from_the_same_shards_are_equal(encode: Encode, tmp_path: Path) -> None:
    encode()
    found = []
    with QdrantHTTPServer() as server:
        for where in ({"path": tmp_path / "a"}, {"path": tmp_path / "b"}, {"url": server.url}):
            client = connect(**where)
            load(client, COLLECTION, tmp_path / "shards")
            found.append(everything(client, COLLECTION))
            client.close()
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        for key, (payload, vector) in other.items():
            assert payload == found[0][key][0]
            assert vector.tolist() == found[0][key][1].tolist()


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


def test_one_flipped_byte_is_refused_by_name_and_the_shard_is_rebuilt(
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
    assert [*shards_of(tmp_path / "shards")] == [*before]
    assert load(client, COLLECTION, tmp_path / "shards").verified == 33
    path.unlink()
    with pytest.raises(SourceError, match=r"Cannot read .*shard-00001\.parquet"):
        load(client, COLLECTION, tmp_path / "shards")
    assert encode().encoded == 7


def test_a_folder_with_other_things_and_a_folder_in_use_are_left_alone(
    encode: Encode, tmp_path: Path
) -> None:
    from rdr_qdrant.export.parquet_sink import LOCK_FILE

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds other files"):
        encode(folder=tmp_path / "mine")
    assert not is_shard_folder(tmp_path / "mine")
    encode()
    with (tmp_path / "shards" / LOCK_FILE).open("ab") as other:
        portalocker.lock(other, portalocker.LockFlags.EXCLUSIVE)
        with pytest.raises(OutputError, match="Another process is encoding into"):
            encode()
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
    monkeypatch.setattr("rdr_qdrant.export.export_reader.check_shard", lambda path, shard: None)
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
