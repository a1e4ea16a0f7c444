"""What a source no longer has is removed; nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import LoadReport, Passage, QdrantLoader, RDREmbeddings
from rdr_qdrant.errors import CollectionError, UsageError
from rdr_qdrant.readers import open_source
from tests.conftest import COLLECTION

Write = Callable[..., Path]


@pytest.fixture
def loader(client: QdrantClient, tiny: RDREmbeddings) -> QdrantLoader:
    return QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION, batch_size=3)


def rows(*ids: str) -> str:
    return "".join(json.dumps({"id": one, "text": f"river {one}"}) + "\n" for one in ids)


def sync(loader: QdrantLoader, path: Path, **options: object) -> LoadReport:
    return loader.load_sources([open_source(path)], prune=True, **options)  # type: ignore[arg-type]


def ids_in(client: QdrantClient) -> set[str]:
    points, _ = client.scroll(COLLECTION, limit=1000)
    return {(point.payload or {})["metadata"]["id"] for point in points}


def test_points_that_the_source_no_longer_has_are_removed(
    loader: QdrantLoader, client: QdrantClient, write: Write
) -> None:
    loader.load([Passage("other", "king", metadata={"source": "elsewhere"}), Passage("bare", "x")])
    path = write("a.jsonl", rows("1", "2", "b", "c", "5"))
    assert sync(loader, path).removed == 0
    write("a.jsonl", rows("2", "c", "9"))
    report = sync(loader, path)
    assert (report.uploaded, report.unchanged, report.removed, report.points) == (1, 2, 3, 5)
    assert ids_in(client) == {"2", "c", "9", "other", "bare"}
    assert sync(loader, path).removed == 0


def test_rows_with_a_source_of_their_own_belong_to_their_file(
    loader: QdrantLoader, client: QdrantClient, write: Write
) -> None:
    """Their source may be the name of another file, and its rows stay as they are."""
    other = write("b.jsonl", rows("1", "2"))
    sync(loader, other)
    own = [json.dumps({"id": one, "text": "river", "source": str(other)}) for one in "345"]
    path = write("a.jsonl", "\n".join(own))
    assert sync(loader, path).removed == 0
    other = write("b.jsonl", rows("1"))
    assert sync(loader, other).removed == 1
    assert ids_in(client) == {"1", "3", "4", "5"}
    write("a.jsonl", "\n".join(own[1:]))
    assert (
        sync(
            loader,
            path,
        ).removed
        == 1
    )
    assert ids_in(client) == {"1", "4", "5"}
    [point] = client.retrieve(COLLECTION, [4])
    metadata = (point.payload or {})["metadata"]
    assert (metadata["source"], metadata["loaded_from"]) == (str(other), str(path))
    write("a.jsonl", rows("4", "5"))  # without the column
    assert sync(loader, path).removed == 0
    assert sync(loader, other).removed == 0
    assert ids_in(client) == {"1", "4", "5"}


def test_equal_rows_of_two_files_are_one_passage_whatever_their_source(
    loader: QdrantLoader, write: Write
) -> None:
    row = json.dumps({"id": "1", "text": "river", "source": "book"})
    report = loader.load_sources([write("a.jsonl", row), write("b.jsonl", row)])
    assert (report.uploaded, report.unchanged, report.rejected) == (1, 1, 0)


def test_a_path_is_opened_as_a_source(
    loader: QdrantLoader, client: QdrantClient, write: Write
) -> None:
    path = write("a.jsonl", rows("1", "2"))
    assert loader.load_sources([path, str(write("b.jsonl", rows("3")))]).points == 3
    with pytest.raises(UsageError, match=r"Give a list of sources, such as \['.*a\.jsonl'\]"):
        loader.load_sources(str(path))


def test_a_dry_run_tells_and_leaves_everything(
    loader: QdrantLoader, client: QdrantClient, write: Write
) -> None:
    path = write("a.jsonl", rows("1", "2", "3"))
    sync(loader, path)
    before = client.scroll(COLLECTION, limit=99, with_vectors=True)
    path.write_text(
        json.dumps({"id": "1", "text": "changed"})
        + "\n"
        + json.dumps({"id": "2", "text": "river 2", "year": 1})
        + "\n"
        + rows("8")
    )
    loader.dry_run = True
    report = sync(loader, path)
    assert (report.read, report.uploaded, report.updated, report.removed) == (3, 2, 1, 1)
    assert report.dry_run
    assert client.scroll(COLLECTION, limit=99, with_vectors=True) == before


def test_a_row_that_could_not_be_read_keeps_everything(
    loader: QdrantLoader, client: QdrantClient, write: Write
) -> None:
    path = write("a.jsonl", rows("1", "2"))
    sync(loader, path)
    path.write_text(rows("1") + '{"id": "2", "text": "riv\n')
    report = sync(loader, path)
    assert (report.rejected, report.removed, report.points) == (1, None, 2)


def test_an_id_that_stands_twice_keeps_nothing_from_being_removed(
    loader: QdrantLoader, write: Write
) -> None:
    path = write("a.jsonl", rows("1", "2"))
    sync(loader, path)
    path.write_text(rows("1") + json.dumps({"id": "1", "text": "else"}) + "\n")
    report = sync(loader, path)
    assert (report.rejected, report.removed, report.points) == (1, 1, 1)


def test_only_points_under_the_prefix_are_removed(
    loader: QdrantLoader, client: QdrantClient, write: Write
) -> None:
    path = write("a.jsonl", rows("1", "2"))
    sync(loader, path, id_prefix="p-")
    sync(loader, path, id_prefix="q-")
    path.write_text(rows("1"))
    assert sync(loader, path, id_prefix="q-").removed == 1
    assert ids_in(client) == {"p-1", "p-2", "q-1"}


def test_a_source_without_rows_is_not_pruned(
    loader: QdrantLoader, client: QdrantClient, write: Write
) -> None:
    full, emptied = write("a.tsv", "id\ttext\n1\triver\n"), write("b.tsv", "id\ttext\n2\tking\n")
    loader.load_sources([open_source(full), open_source(emptied)])
    emptied.write_text("id\ttext\n")
    report = loader.load_sources([open_source(full), open_source(emptied)], prune=True)
    assert report.removed == 0
    assert ids_in(client) == {"1", "2"}


def test_streams_are_not_pruned(loader: QdrantLoader) -> None:
    with pytest.raises(UsageError, match="Standard input cannot be pruned"):
        loader.load_sources([open_source("-")], prune=True)


def test_a_collection_that_we_did_not_make_is_not_pruned(
    loader: QdrantLoader, client: QdrantClient, write: Write
) -> None:
    params = models.VectorParams(size=32, distance=models.Distance.DOT)
    client.create_collection(COLLECTION, vectors_config=params)
    loader.allow_unverified = True
    with pytest.raises(CollectionError, match="does not say that rdr-qdrant made it"):
        sync(loader, write("a.jsonl", rows("1")))
    assert client.count(COLLECTION).count == 0
