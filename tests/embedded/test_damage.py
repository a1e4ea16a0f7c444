"""Engine files lost, cut or grown while a collection was closed are noticed when it is opened."""

import errno
import os
from pathlib import Path

import pytest
from qdrant_client import models

from rdr_qdrant.embedded import EmbeddedQdrant, EmbeddedQdrantError
from tests.embedded.corpus import points_of

PARAMS = models.VectorParams(size=16, distance=models.Distance.DOT)
COUNT = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with EmbeddedQdrant(tmp_path / "store") as client:
        client.create_collection("a", PARAMS)
        client.upsert("a", points_of(COUNT))
        client.create_payload_index("a", "number", models.PayloadSchemaType.INTEGER)
    return tmp_path / "store"


def _files(folder: Path) -> list[Path]:
    [shard] = folder.glob("collections/*/shard")
    return sorted(file for file in shard.rglob("*") if file.is_file())


def test_every_file_that_is_missing_or_cut_is_reported(folder: Path) -> None:
    files = _files(folder)
    assert len(files) > 10
    for file in files:
        content = file.read_bytes()
        for damage in ("missing", "halved", "emptied", "grown"):
            if damage == "missing":
                file.unlink()
            elif damage == "grown":
                file.write_bytes(content + b"\0")
            elif not content:
                continue
            else:
                file.write_bytes(content[: len(content) // 2] if damage == "halved" else b"")
            with EmbeddedQdrant(folder) as client:
                for call in (
                    lambda client=client: client.count("a"),
                    lambda client=client: client.build_index("a"),
                    lambda client=client: client.upsert("a", points_of(5)),
                    lambda client=client: client.update_collection(
                        "a", hnsw_config=models.HnswConfigDiff(m=8)
                    ),
                ):
                    with pytest.raises(EmbeddedQdrantError, match=file.name) as error:
                        call()
                    assert "\n" not in str(error.value)
            file.write_bytes(content)
    with EmbeddedQdrant(folder) as client:
        assert client.count("a").count == COUNT


def test_a_count_that_changed_is_reported(folder: Path) -> None:
    [record] = folder.glob("collections/*/files.json")
    record.write_text(record.read_text().replace(f'"points": {COUNT}', '"points": 99'))
    with EmbeddedQdrant(folder) as client, pytest.raises(EmbeddedQdrantError) as error:
        client.count("a")
    assert f"{COUNT} of 99 points" in str(error.value)


def test_open_collections_have_no_record(folder: Path) -> None:
    """So that files which a killed process left are opened as they are."""
    with EmbeddedQdrant(folder) as client:
        assert list(folder.glob("collections/*/files.json"))
        client.upsert("a", points_of(COUNT + 10))
        assert not list(folder.glob("collections/*/files.json"))
        client.build_index("a")
        client.update_collection("a", hnsw_config=models.HnswConfigDiff(m=8))
        assert not list(folder.glob("collections/*/files.json"))
    for _ in range(2):
        with EmbeddedQdrant(folder) as client:
            assert client.count("a").count == COUNT + 10


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 9}', '{"format": 1}'])
def test_a_damaged_record_is_ignored(folder: Path, content: str) -> None:
    [record] = folder.glob("collections/*/files.json")
    record.write_text(content)
    with EmbeddedQdrant(folder) as client:
        assert client.count("a").count == COUNT


def test_a_full_disk_on_opening_is_not_called_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("qdrant_edge.EdgeShard.load", full)
    with EmbeddedQdrant(folder) as client, pytest.raises(EmbeddedQdrantError) as error:
        client.count("a")
    assert "disk is full" in str(error.value)
    assert "backup" not in str(error.value)
