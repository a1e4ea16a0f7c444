"""Sources with rows of several kinds, and what encodes and loads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import QdrantLoader, RDREmbeddings, ShardEncoder, ShardFolder
from rdr_qdrant.export import EncodeReport, vectors_of
from rdr_qdrant.readers import open_source

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


def passages_of(folder: Path) -> list[dict[str, object]]:
    """All rows of the shards, in their order."""
    names = sorted(folder.glob("*.parquet"))
    return [row for name in names for row in pq.read_table(name).to_pylist()]


def assert_same_passages(one: Path, other: Path) -> None:
    """Two folders hold the same rows in the same order; vectors may differ by rounding."""
    ours, theirs = passages_of(one), passages_of(other)
    vectors = [np.array([row.pop("vector") for row in rows]) for rows in (ours, theirs)]
    assert ours == theirs
    np.testing.assert_allclose(*vectors, atol=1e-5)


def shards_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}
