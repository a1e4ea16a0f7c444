"""A source that changes while it is read is reported, prunes nothing, and completes no folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import LoadReport, QdrantLoader, RDREmbeddings, ShardEncoder, ShardFolder, connect
from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers import open_source

ROWS = 60


def lines(word: str, count: int = ROWS) -> str:
    return "".join(f'{{"id": "{n}", "text": "{word} {n}"}}\n' for n in range(count))


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def rewrite(path: Path) -> None:
    """In place: the same file, other rows."""
    path.write_text(lines("pond", ROWS // 2))


def replace(path: Path) -> None:
    """The same size and another file under the name."""
    other = path.with_name("other")
    other.write_text(lines("king"))
    other.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines("lake"))
    return path


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("change", [truncate, rewrite, replace])
def test_a_source_that_changes_under_a_load_prunes_nothing(
    tiny: RDREmbeddings, path: Path, change: Callable[[Path], None], dry_run: bool
) -> None:
    client: QdrantClient = connect(path=":memory:")

    def load(**options: object) -> LoadReport:
        loader = QdrantLoader(
            embeddings=tiny, client=client, collection_name="c", batch_size=4, **options
        )
        return loader.load_sources([open_source(path)], prune=True)

    assert load().changed_sources == ()
    path.write_text(lines("king"))
    changes = iter([change])

    def once(report: LoadReport) -> None:
        for one in changes:
            one(path)

    report = load(on_progress=once, dry_run=dry_run)
    [changed] = report.changed_sources
    assert changed.startswith(f"{path} changed while it was read: ")
    assert report.removed is None
    assert client.count("c").count == ROWS


def test_a_source_that_changes_while_it_is_encoded_completes_no_folder(
    tiny: RDREmbeddings, path: Path, tmp_path: Path
) -> None:
    def append(report: object) -> None:
        with path.open("a") as file:
            file.write("\n")

    encoder = ShardEncoder(
        embeddings=tiny, folder=tmp_path / "out", batch_size=4, on_progress=append
    )
    with pytest.raises(SourceError, match=r"changed while it was read.* is not complete"):
        encoder.encode_sources([open_source(path)])
    with pytest.raises(SourceError, match="is not complete"):
        ShardFolder(tmp_path / "out")
