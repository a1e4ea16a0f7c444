"""Folders of qdrant-client's local mode: recognised, refused, copied."""

from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant.client import connect_source_and_target
from rdr_qdrant.collection import copy_collection
from rdr_qdrant.embedded import EmbeddedQdrant, LegacyFolderError, is_local_mode
from rdr_qdrant.errors import StoreError
from tests.embedded.corpus import DIM, points_of


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
    with pytest.raises(LegacyFolderError, match="local mode"):
        EmbeddedQdrant(old)
    assert sorted(p.name for p in old.iterdir()) == [".lock", "collection", "meta.json"]
    with EmbeddedQdrant(tmp_path / "new"):
        pass
    assert not is_local_mode(tmp_path / "new")


def test_collections_are_copied_and_the_source_is_kept(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    for copied in (1200, 0):  # a second run changes nothing
        source, client = connect_source_and_target(str(old), str(new))
        assert copy_collection(source, client, "plain").copied == copied
        copy_collection(source, client, "named")
        assert client.get_collection("plain").config.metadata == {"a": 1}
        mine, _ = client.scroll("plain", limit=2000, with_vectors=True)
        theirs, _ = source.scroll("plain", limit=2000, with_vectors=True)
        assert [(r.id, r.payload) for r in mine] == [(r.id, r.payload) for r in theirs]
        assert np.allclose([r.vector for r in mine], [r.vector for r in theirs], atol=1e-6)
        [record] = client.retrieve("named", [1], with_vectors=True)
        assert record.vector["d"] == [1.0, 2.0]
        assert record.vector["s"].indices == [1, 4]
        source.close()
        client.close()
    assert is_local_mode(old)


def test_a_source_that_is_in_use_or_damaged_is_refused(old: Path, tmp_path: Path) -> None:
    holder = QdrantClient(path=str(old))
    with pytest.raises(StoreError, match="already accessed"):
        connect_source_and_target(str(old), str(tmp_path / "new"))
    holder.close()
    (old / "meta.json").write_text("{ damaged")
    with pytest.raises(StoreError, match="cannot be read"):
        connect_source_and_target(str(old), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
