"""`ingest` of folders and documents, as people see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.support import documents


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(documents.pdf(["the river", "the king"], "Rivers"))
    (folder / "b.html").write_text("<title>City</title><p>the city was built")
    (folder / "rows.csv").write_text("id,text\n1,x\n")
    return folder


def test_a_folder_is_ingested_and_searched(command: Command, pair: list[str], docs: Path) -> None:
    outcome = command("ingest", "docs/", "-c", "c", *pair)
    assert outcome.status == 0
    assert "documents   2: 2 converted, 0 unchanged, 0 rejected" in outcome.out
    assert "not read    1 .csv (not documents)" in outcome.out
    again = command("ingest", "./docs", "-c", "c", "--json", *pair)
    assert (again.status, again.json["unchanged"]) == (0, 2)
    assert again.json["documents"] == {
        "files": 2,
        "converted": 0,
        "unchanged": 2,
        "rejected": 0,
        "others": {".csv": 1},
        "incomplete": 0,
    }
    found = command("search", "river", "-c", "c", "--filter", "path=a.pdf", "--json", *pair)
    [hit] = found.json
    assert (hit["id"], hit["title"], hit["metadata"]["page"]) == ("a.pdf#1", "Rivers", 1)


def test_broken_documents_are_named_with_status_3(
    command: Command, pair: list[str], docs: Path, tmp_path: Path
) -> None:
    (docs / "b\x1b[31m.txt").write_bytes(b"ab\xff")
    (docs / "c.pdf").write_bytes(documents.pdf([""]))
    outcome = command("ingest", docs, "-c", "c", "--rejects", "r.jsonl", *pair)
    assert outcome.status == 3
    assert f"Rejected: {docs}/b\ufffd[31m.txt: not valid UTF-8: byte 3" in outcome.err
    assert f"Rejected: {docs}/c.pdf: no text found: perhaps a scan (pages: 1)" in outcome.err
    assert "\x1b" not in outcome.err + outcome.out
    lines = (tmp_path / "r.jsonl").read_text().splitlines()
    assert [json.loads(line)["source"] for line in lines] == [
        str(docs / "b\x1b[31m.txt"),
        str(docs / "c.pdf"),
    ]


def test_strict_stops_at_the_first_document(command: Command, pair: list[str], docs: Path) -> None:
    (docs / "0.txt").touch()
    outcome = command("ingest", docs, "-c", "c", "--strict", *pair)
    assert outcome.status == 1
    assert f"(--strict): {docs}/0.txt: empty (0 bytes)." in outcome.errors[0]


def test_split_overrides_the_120_words(command: Command, pair: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("river " * 250)
    assert command("ingest", "a.txt", "-c", "c", "--json", *pair).json["uploaded"] == 2
    by_fifty = ("ingest", "a.txt", "-c", "c", "--split", "50", "--json", *pair)
    outcome = command(*by_fifty)
    assert outcome.status == 1
    assert "replace the texts of this load with --allow-resplit" in outcome.err
    outcome = command(*by_fifty, "--allow-resplit")
    assert outcome.json["uploaded"] + outcome.json["unchanged"] + outcome.json["updated"] == 5


def test_rejects_may_not_overwrite_a_document(
    command: Command, pair: list[str], docs: Path
) -> None:
    outcome = command("ingest", docs, "-c", "c", "--rejects", docs / "a.pdf", *pair)
    assert outcome.status == 2
    assert (docs / "a.pdf").read_bytes().startswith(b"%PDF")
