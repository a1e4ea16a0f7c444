"""Documents into a collection: unchanged ones are not converted, and nothing is lost for that."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import LoadReport, QdrantLoader, RDREmbeddings
from rdr_qdrant.errors import CollectionError, SourceError
from rdr_qdrant.ingest import VerificationError
from rdr_qdrant.passages import point_id
from rdr_qdrant.readers import Reject, open_source
from rdr_qdrant.readers.documents.sandbox import DocumentConverter
from tests.conftest import COLLECTION, client_of
from tests.support import documents


@pytest.fixture
def client(tmp_path: Path) -> Iterator[QdrantClient]:
    """One kind of client: which documents are converted again does not depend on it."""
    kind = "server" if os.environ.get("QDRANT_URL") else "embedded"
    with client_of(kind, tmp_path) as client:
        yield client


def sentences(words: int) -> str:
    """Sentences of a hundred words, each a passage."""
    return " ".join(f"River{n}" + "." * (n % 100 == 99) for n in range(words))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text(sentences(670))
    (folder / "sub" / "b.pdf").write_bytes(documents.pdf(["the king", "the city"], "B"))
    (folder / "c.md").write_text("# C\n\nthe battle")
    return folder


@pytest.fixture
def loader(client: QdrantClient, tiny: RDREmbeddings) -> QdrantLoader:
    return QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION, batch_size=3)


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are converted from now on."""
    names: list[str] = []
    original = DocumentConverter.convert

    def convert(self: DocumentConverter, path: Path, *, follow_symlinks: bool) -> Any:
        names.append(path.name)
        return original(self, path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(DocumentConverter, "convert", convert)
    return names


def load(loader: QdrantLoader, *paths: Path, **options: Any) -> LoadReport:
    return loader.load_sources([open_source(path) for path in paths], **options)


def stored(client: QdrantClient) -> dict[str, Any]:
    points, _ = client.scroll(COLLECTION, limit=1000, with_vectors=True)
    return {(p.payload or {})["metadata"]["id"]: (p.payload, p.vector) for p in points}


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(self: DocumentConverter, path: Path, *, follow_symlinks: bool) -> Any:
        raise AssertionError(f"{path} is converted")

    monkeypatch.setattr(DocumentConverter, "convert", convert)


def test_documents_that_did_not_change_are_not_converted(
    loader: QdrantLoader, client: QdrantClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(loader, folder)
    assert (first.read, first.uploaded, first.verified, first.points) == (9, 9, 9, 9)
    assert first.to_json()["documents"] == {
        "files": 3,
        "converted": 3,
        "unchanged": 0,
        "rejected": 0,
        "others": {},
        "incomplete": 0,
    }
    before = stored(client)
    forbid(monkeypatch)
    again = load(loader, folder, prune=True)
    assert again.documents is not None
    assert (again.documents.converted, again.documents.unchanged) == (0, 3)
    assert (again.read, again.unchanged, again.uploaded, again.updated) == (9, 9, 0, 0)
    assert (again.verified, again.compared, again.removed) == (9, 9, 0)
    assert stored(client) == before


def test_a_changed_document_replaces_its_passages(
    loader: QdrantLoader, client: QdrantClient, folder: Path, converted: list[str]
) -> None:
    load(loader, folder)
    converted.clear()
    (folder / "a.txt").write_text(sentences(470))
    report = load(loader, folder)
    assert converted == ["a.txt"]
    assert (report.uploaded, report.updated, report.unchanged, report.points) == (1, 4, 2, 7)
    assert report.leftover_parts == 2
    report = load(loader, folder, prune=True)
    assert (report.unchanged, report.removed, report.points) == (7, 0, 7)
    assert report.leftover_parts == 0
    assert sorted(stored(client)) == [*(f"a.txt#{n}" for n in range(1, 6)), "c.md#1", "sub/b.pdf#1"]
    assert converted == ["a.txt"]


def test_a_document_that_is_gone_is_removed_with_prune(
    loader: QdrantLoader, client: QdrantClient, folder: Path
) -> None:
    load(loader, folder)
    (folder / "sub" / "b.pdf").unlink()
    assert load(loader, folder).points == 9
    loader.dry_run = True
    assert (load(loader, folder, prune=True).removed, len(stored(client))) == (1, 9)
    loader.dry_run = False
    assert load(loader, folder, prune=True).removed == 1
    assert "sub/b.pdf#1" not in stored(client)


def test_a_document_that_broke_keeps_its_passages_and_others_are_pruned(
    loader: QdrantLoader, client: QdrantClient, folder: Path
) -> None:
    load(loader, folder, id_prefix="p/")
    (folder / "sub" / "b.pdf").write_bytes(b"broken")
    (folder / "c.md").unlink()
    rejects: list[Reject] = []
    loader.on_reject = rejects.append
    report = load(loader, folder, prune=True, id_prefix="p/")
    assert [reject.source for reject in rejects] == [str(folder / "sub" / "b.pdf")]
    assert (report.rejected, report.removed, report.points) == (1, 1, 8)
    assert "p/sub/b.pdf#1" in stored(client)
    assert "p/c.md#1" not in stored(client)


def test_what_stands_in_a_folder_that_cannot_be_listed_is_kept(
    loader: QdrantLoader, client: QdrantClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(loader, folder)
    (folder / "c.md").unlink()
    scandir = os.scandir

    def refuse(path: Path) -> Any:
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        report = loader.load_sources([open_source(folder)], prune=True)
    assert (report.rejected, report.removed) == (1, 1)
    assert "sub/b.pdf#1" in stored(client)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda client: client.delete(COLLECTION, [point_id("a.txt#5")]),
        lambda client: client.delete(COLLECTION, [point_id("a.txt#1")]),
        lambda client: client.set_payload(
            COLLECTION, {"file_digest": "other"}, [point_id("a.txt#2")], key="metadata"
        ),
        lambda client: client.set_payload(
            COLLECTION, {"position": 9}, [point_id("a.txt#2")], key="metadata"
        ),
        lambda client: client.set_payload(
            COLLECTION, {"passages": 2}, [point_id("a.txt#1")], key="metadata"
        ),
        lambda client: client.set_payload(
            COLLECTION, {"passages": "x", "title": 7}, [point_id("a.txt#1")], key="metadata"
        ),
        lambda client: client.overwrite_payload(COLLECTION, {}, [point_id("a.txt#4")]),
    ],
)
def test_what_is_not_all_there_as_it_was_is_converted_again(
    loader: QdrantLoader,
    client: QdrantClient,
    folder: Path,
    converted: list[str],
    spoil: Callable[[QdrantClient], object],
) -> None:
    load(loader, folder)
    converted.clear()
    spoil(client)
    load(loader, folder)
    assert converted == ["a.txt"]


def test_a_text_that_somebody_else_changed_is_not_taken_for_the_documents(
    loader: QdrantLoader, client: QdrantClient, folder: Path, converted: list[str]
) -> None:
    load(loader, folder)
    converted.clear()
    client.set_payload(COLLECTION, {"page_content": "other"}, [point_id("a.txt#3")])
    with pytest.raises(VerificationError, match="has another payload than the one sent"):
        load(loader, folder)
    assert converted == ["a.txt"]


def test_an_interrupted_load_goes_on(
    loader: QdrantLoader, client: QdrantClient, tiny: RDREmbeddings, folder: Path
) -> None:
    loader.on_progress = lambda report: loader.stop()
    first = load(loader, folder)
    assert first.interrupted
    assert first.points == first.uploaded > 0
    whole = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION)
    report = load(whole, folder)
    assert (report.unchanged, report.points) == (first.points, 9)
    assert report.uploaded == 9 - first.points


def test_another_split_or_converter_converts_again(
    loader: QdrantLoader, folder: Path, converted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(loader, folder / "a.txt")
    with pytest.raises(CollectionError, match="up to 120 words, but this load .* up to 50 words"):
        load(loader, folder / "a.txt", split=50)
    loader.allow_resplit = True
    report = load(loader, folder / "a.txt", split=50)
    assert (report.uploaded, report.points) == (13, 13)
    assert load(loader, folder / "a.txt", split=50).unchanged == 13
    assert len(converted) == 3
    monkeypatch.setattr("rdr_qdrant.readers.documents.formats.CONVERSION_RULES_VERSION", 99)
    assert load(loader, folder / "a.txt", split=50).updated == 13
    assert len(converted) == 4


def test_another_encoder_converts_again(
    loader: QdrantLoader, other: RDREmbeddings, folder: Path, converted: list[str]
) -> None:
    load(loader, folder)
    converted.clear()
    loader.embeddings, loader.recreate = other, True
    report = load(loader, folder)
    assert (report.uploaded, report.points, len(converted)) == (9, 9, 3)


def test_a_dry_run_says_what_would_be_done(
    loader: QdrantLoader, client: QdrantClient, folder: Path, converted: list[str]
) -> None:
    loader.dry_run = True
    assert load(loader, folder).uploaded == 9
    loader.dry_run = False
    load(loader, folder)
    loader.dry_run = True
    converted.clear()
    (folder / "c.md").write_text("# C\n\nthe king")
    before = stored(client)
    report = load(loader, folder)
    assert (report.uploaded, report.unchanged) == (1, 8)
    assert converted == ["c.md"]
    assert stored(client) == before


def test_the_same_folder_under_another_name_is_not_converted(
    loader: QdrantLoader,
    client: QdrantClient,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(loader, folder)
    moved = folder.rename(tmp_path / "moved")
    forbid(monkeypatch)
    report = load(loader, moved)
    assert (report.updated, report.taken_over, report.uploaded) == (9, 9, 0)
    payload, _ = stored(client)["c.md#1"]
    assert payload["metadata"]["source"] == str(moved)


def test_documents_and_rows_and_two_folders_in_one_load(
    loader: QdrantLoader, client: QdrantClient, folder: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "1", "text": "river river river"}\n')
    second = tmp_path / "second"
    second.mkdir()
    (second / "c.md").write_text("other text")
    (second / "d.md").write_text("d")
    rejects: list[Reject] = []
    loader.on_reject = rejects.append
    report = load(loader, folder, rows, second)
    assert (report.read, report.uploaded, report.rejected) == (12, 11, 1)
    assert report.documents is not None
    assert report.documents.files == 5
    [reject] = rejects
    assert (reject.source, reject.row["id"]) == (str(second / "c.md"), "c.md#1")
    assert reject.reason == f"id stands twice with different content: first: {folder}, line 1"
    assert load(loader, rows).documents is None


def test_a_reject_of_a_document_given_as_a_file_names_it_once(
    loader: QdrantLoader, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "c.md").write_text("other text")
    rejects: list[Reject] = []
    loader.on_reject = rejects.append
    load(loader, folder / "c.md", tmp_path / "c.md")
    [reject] = rejects
    assert reject.source == str(tmp_path / "c.md")
    assert f"first: {folder / 'c.md'}, line 1" in reject.reason


def test_a_point_of_other_software_is_left_alone(
    loader: QdrantLoader, client: QdrantClient, folder: Path
) -> None:
    load(loader, folder / "c.md")
    foreign = models.PointStruct(id=point_id("a.txt#1"), vector=[0.0] * 32, payload={"x": 1})
    client.upsert(COLLECTION, [foreign])
    report = load(loader, folder / "a.txt")
    assert (report.rejected, report.uploaded) == (1, 6)
    [record] = client.retrieve(COLLECTION, [point_id("a.txt#1")])
    assert record.payload == {"x": 1}


def test_documents_none_of_which_can_be_used_are_an_error(
    loader: QdrantLoader, client: QdrantClient, tmp_path: Path
) -> None:
    path = tmp_path / "scan.pdf"
    path.write_bytes(documents.pdf([""]))
    with pytest.raises(SourceError, match=r"None of the 1 rows and documents of .*scan\.pdf"):
        load(loader, path)
    assert not client.collection_exists(COLLECTION)
