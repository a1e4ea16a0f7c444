"""A folder of documents as a source of passages."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from rdr_qdrant import Passage
from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers import DocumentSource, Reject, open_source
from rdr_qdrant.splitter import SplitSettings, Splitter
from tests.support import documents

WORDS = " ".join(f"W{n}" + "." * (n % 100 == 99) for n in range(270))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    files: dict[str, str | bytes] = {
        "b.txt": WORDS,
        "a/z.md": "# Title\n\nthe river",
        "a/report.pdf": documents.pdf(["P1 " * 70 + ".", "P2 " * 70 + "."], "Report"),
        "a-b.html": "<p>king",
        "C.DOCX": documents.docx(["the city"]),
        "broken.pdf": b"x",
        "rows.csv": "id,text\n",
        "image.png": b"x",
        "other.PNG": b"x",
        "Makefile": "x",
        ".hidden.txt": "x",
        ".git/a.txt": "x",
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def opened(path: Path) -> DocumentSource:
    source = open_source(path)
    assert isinstance(source, DocumentSource)
    return source


def read(source: DocumentSource) -> tuple[list[Passage], list[Reject]]:
    rejects: list[Reject] = []
    return list(source.passages(rejects.append)), rejects


def test_documents_are_split_in_path_order(folder: Path) -> None:
    source = opened(folder)
    passages, rejects = read(source)
    assert [passage.id for passage in passages] == [
        "C.DOCX#1",
        "a/report.pdf#1",
        "a/report.pdf#2",
        "a/z.md#1",
        "a-b.html#1",
        "b.txt#1",
        "b.txt#2",
        "b.txt#3",
    ]
    assert [(r.source, r.line, r.reason) for r in rejects] == [
        (str(folder / "broken.pdf"), 0, "not a PDF: its first bytes are not those of one")
    ]
    assert source.records_read == 9
    counts = source.counts
    assert (counts.files, counts.converted, counts.unchanged, counts.rejected) == (6, 5, 0, 1)
    assert counts.others == {".csv": 1, ".png": 2, "no extension": 1}
    assert source.fraction_read() == 1.0


def test_metadata_of_passages(folder: Path) -> None:
    import hashlib

    passages = {passage.id: passage for passage in read(opened(folder))[0]}
    second = passages["a/report.pdf#2"]
    digest = hashlib.sha256((folder / "a/report.pdf").read_bytes()).hexdigest()
    converter = second.metadata["converter"]
    assert converter.startswith("pypdf ")
    assert second.metadata == {
        "source": str(folder),
        "path": "a/report.pdf",
        "content_type": "application/pdf",
        "file_digest": digest,
        "converter": converter,
        "words": 120,
        "split_by": "sentences",
        "position": 2,
        "passages": 2,
        "page": 2,
    }
    assert passages["a/report.pdf#1"].metadata["page"] == 1
    assert "page" not in passages["b.txt#1"].metadata
    titles = {passage.title for passage in passages.values()}
    assert titles == {"C", "Report", "Title", "a-b", "b"}


def test_passages_may_run_across_page_breaks(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(documents.pdf(["one two three", "", "four five", "six"]))
    found = list(open_source(path).enumerate_passages(pytest.fail))
    assert [(n, p.text.split(), p.metadata["page"]) for n, p in found] == [
        (1, "one two three four five six".split(), 1)
    ]
    source = opened(path)
    blocks = Splitter(SplitSettings(2, "blocks"))
    cut = [p for _, p in source.enumerate_passages(pytest.fail, splitter=blocks)]
    assert [(p.text.split(), p.metadata["page"]) for p in cut] == [
        (["one", "two"], 1),
        (["three", "four"], 1),
        (["five", "six"], 3),
    ]


def test_a_sentence_continues_on_the_next_page_in_lower_case(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    pages = ["The king of the", "north is dead. A river of", "Rome", "", "and more"]
    path.write_bytes(documents.pdf(pages))
    one_sentence = Splitter(SplitSettings(8))
    found = opened(path).enumerate_passages(pytest.fail, splitter=one_sentence)
    assert [(" ".join(p.text.split()), p.metadata["page"]) for _, p in found] == [
        ("The king of the north is dead.", 1),
        ("A river of Rome and more", 2),
    ]


def test_what_is_not_read_of_a_document_is_said_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.pdf").write_bytes(documents.pdf(["river", "", "king"]))
    (tmp_path / "b.pdf").write_bytes(documents.pdf(["river"]))
    source = opened(tmp_path)
    read(source)
    assert (source.counts.converted, source.counts.incomplete) == (2, 1)
    assert (source.counts + source.counts).incomplete == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"Not read of {tmp_path}/a.pdf: page 2 of 3, without text (scanned?)"
    ]


def test_one_document_has_its_name_as_path(folder: Path) -> None:
    passages, rejects = read(opened(folder / "b.txt"))
    assert [passage.id for passage in passages] == ["b.txt#1", "b.txt#2", "b.txt#3"]
    assert passages[0].metadata["source"] == str(folder / "b.txt")
    assert rejects == []


def test_symbolic_links_are_not_followed_but_counted(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.txt")
    source = opened(folder)
    assert source.counts.files == 6
    assert source.counts.others["symbolic link"] == 3
    assert source.counts.others["special file"] == 1


def test_a_file_that_becomes_a_link_is_rejected(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    source = opened(folder)
    (folder / "b.txt").unlink()
    (folder / "b.txt").symlink_to(tmp_path / "secret.txt")
    passages, rejects = read(source)
    assert "b.txt" in source.rejected_paths
    assert not any("secret" in passage.text for passage in passages)
    assert len(rejects) == 2


def test_links_given_by_the_user_are_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "to-docs").symlink_to(folder)
    (tmp_path / "to-file.txt").symlink_to(folder / "b.txt")
    assert opened(tmp_path / "to-docs").counts.files == 6
    assert len(read(opened(tmp_path / "to-file.txt"))[0]) == 3


def test_a_folder_that_cannot_be_listed_is_rejected(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: Path) -> Any:
        if path == folder / "a":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    source = opened(folder)
    passages, rejects = read(source)
    assert rejects[0].source == str(folder / "a")
    assert rejects[0].reason == "folder cannot be listed: Permission denied"
    assert source.rejected_paths == {"a/", "broken.pdf"}
    assert len(passages) == 5
    monkeypatch.setattr(os, "scandir", lambda path: refuse(folder / "a"))
    with pytest.raises(SourceError, match="Cannot list .*: Permission denied"):
        open_source(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode there")
def test_a_name_that_is_not_unicode_is_rejected(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/a\xff.txt")).write_text("river")
    (folder / "b\x1b[31m.txt").write_text("river")
    passages, [reject] = read(opened(folder))
    assert reject.reason == "its name is not valid UTF-8"
    assert [passage.id for passage in passages] == ["b\x1b[31m.txt#1"]


def test_a_deleted_file_is_rejected(folder: Path) -> None:
    source = opened(folder)
    (folder / "b.txt").unlink()
    _, rejects = read(source)
    assert rejects[0].reason == "cannot be read: No such file or directory"


def test_a_folder_without_documents_lists_other_extensions(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"f.x{number}").touch()
    with pytest.raises(SourceError, match=r"found: 1 \.x\d+, .*, 4 others\."):
        open_source(tmp_path)


def test_a_package_that_is_missing_is_named_when_the_folder_is_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import metadata

    def version(name: str) -> str:
        if name == "mammoth":
            raise metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr("rdr_qdrant.readers.documents.formats.metadata.version", version)
    with pytest.raises(SourceError, match=r"C\.DOCX needs mammoth: pip install .*\[doc"):
        open_source(folder)
    assert opened(folder / "b.txt").counts.files == 1


def test_the_documents_are_included_files(folder: Path) -> None:
    source = open_source(folder)
    assert source.includes_file(folder / "a" / ".." / "b.txt")
    assert not source.includes_file(folder / "rows.csv")
