"""Folders of the client's local mode: recognised, refused, moved over."""

from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant.errors import StoreError
from rdr_qdrant.store.embedded import EmbeddedQdrant, is_local_mode, move_local_mode
from tests.store.embedded.corpus import DIM, points_of


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old"
    client = QdrantClient(path=str(path))
    client.create_collection(
        "plain", models.VectorParams(size=DIM, distance=models.Distance.DOT), metadata={"a": 1}
    )
    client.upsert("plain", points_of(1200))
    client.create_collection(
        "named",
        {"d": models.VectorParams(size=2, distance=models.Distance.EUCLID)},
        sparse_vectors_config={"s": models.SparseVectorParams()},
    )
    sparse = models.SparseVector(indices=[1, 4], values=[0.5, 2.0])
    client.upsert("named", [models.PointStruct(id=1, vector={"d": [1.0, 2.0], "s": sparse})])
    alias = models.CreateAlias(collection_name="plain", alias_name="other")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    client.close()
    return path


def test_a_local_mode_folder_is_recognised_and_refused(old: Path, tmp_path: Path) -> None:
    assert is_local_mode(old)
    assert not is_local_mode(tmp_path)
    assert not is_local_mode(tmp_path / "none")
    with pytest.raises(StoreError, match="move_local_mode"):
        EmbeddedQdrant(old)
    assert sorted(p.name for p in old.iterdir()) == [".lock", "collection", "meta.json"]
    with EmbeddedQdrant(tmp_path / "new"):
        pass
    assert not is_local_mode(tmp_path / "new")


def test_everything_is_moved_over_and_the_source_is_kept(old: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    for _ in range(2):  # a second run changes nothing
        counts = move_local_mode(old, tmp_path / "new", lambda *call: calls.append(call))
        assert counts == {"plain": 1200, "named": 1}
    assert ("plain", 500, 1200) in calls
    assert ("plain", 1200, 1200) in calls
    source = QdrantClient(path=str(old))
    with EmbeddedQdrant(tmp_path / "new") as client:
        assert client.get_collection("other").config.metadata == {"a": 1}
        mine, _ = client.scroll("plain", limit=2000, with_vectors=True)
        theirs, _ = source.scroll("plain", limit=2000, with_vectors=True)
        assert [(r.id, r.payload) for r in mine] == [(r.id, r.payload) for r in theirs]
        assert np.allclose([r.vector for r in mine], [r.vector for r in theirs], atol=1e-6)
        [record] = client.retrieve("named", [1], with_vectors=True)
        assert record.vector["d"] == [1.0, 2.0]
        assert record.vector["s"].indices == [1, 4]
    source.close()


def test_what_cannot_be_moved_is_refused(old: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not written by"):
        move_local_mode(tmp_path, tmp_path / "new")
    with pytest.raises(StoreError, match="same folder"):
        move_local_mode(old, old)
    holder = QdrantClient(path=str(old))
    with pytest.raises(StoreError, match="already accessed"):
        move_local_mode(old, tmp_path / "new")
    holder.close()
    (old / "meta.json").write_text("{ damaged")
    with pytest.raises(StoreError):
        move_local_mode(old, tmp_path / "new")
