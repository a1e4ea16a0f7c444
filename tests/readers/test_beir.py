"""BEIR's folders, and rows whose id is `_id`."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from rdr_qdrant.errors import SourceError
from rdr_qdrant.passages import id_from_content
from rdr_qdrant.readers import BEIRFolder, Reject, open_source, read_questions_with_ids

CORPUS = [
    {"_id": "doc 1", "title": "Rhine", "text": "a river", "metadata": {"url": "x"}},
    {"_id": "7", "title": "", "text": "a city"},
]


def data_set(folder: Path, suffix: str = "") -> Path:
    """Write a data set, its corpus and questions perhaps compressed."""
    (folder / "qrels").mkdir(parents=True)
    (folder / "README.md").write_text("# A data set\n\nIt is not one of its own documents.")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tdoc 1\t1\n")
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq2\t7\t1\n")
    questions = [{"_id": "q1", "text": "what flows?"}, {"_id": 2, "text": "what stands?"}]
    for name, rows in (("corpus.jsonl", CORPUS), ("queries.jsonl", questions)):
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(data) if suffix else data)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_only_the_corpus_is_read_as_if_it_had_been_named(tmp_path: Path, suffix: str) -> None:
    folder = data_set(tmp_path / "set", suffix)
    rejects: list[Reject] = []
    passages = list(open_source(folder).passages(rejects.append))
    assert passages == list(open_source(folder / f"corpus.jsonl{suffix}").passages(print))
    assert rejects == []
    source = str(folder / f"corpus.jsonl{suffix}")
    assert [(p.id, p.title, p.text, p.metadata) for p in passages] == [
        ("doc 1", "Rhine", "a river", {"source": source, "metadata": {"url": "x"}}),
        ("7", "", "a city", {"source": source}),
    ]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_its_questions_and_test_judgments_are_found(tmp_path: Path, suffix: str) -> None:
    folder = data_set(tmp_path / "set", suffix)
    found = BEIRFolder.find(folder)
    assert found is not None
    assert found.qrels() == folder / "qrels" / "test.tsv"
    questions = read_questions_with_ids(found.questions, print)
    assert [(q.id, q.text) for q in questions] == [("q1", "what flows?"), ("2", "what stands?")]


def test_a_missing_test_split_is_refused_with_what_is_there(tmp_path: Path) -> None:
    folder = data_set(tmp_path / "set")
    (folder / "qrels" / "test.tsv").unlink()
    found = BEIRFolder.find(folder)
    assert found is not None
    with pytest.raises(SourceError, match=r"no test.tsv \(found: dev.tsv\). Name .* --qrels"):
        found.qrels()


def test_a_folder_of_documents_stays_one(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text("{}")
    (tmp_path / "a.md").write_text("a river")
    assert BEIRFolder.find(tmp_path) is None
    assert [p.id for p in open_source(tmp_path).passages(print)] == ["a.md#1"]
    assert BEIRFolder.find(tmp_path / "a.md") is None


@pytest.mark.parametrize(
    ("row", "passage_id", "metadata"),
    [
        ({"_id": 5}, "5", {}),
        ({"_id": "x", "id": None}, "x", {}),
        ({"_id": "x", "id": "y"}, "y", {"_id": "x"}),
        ({"_id": {"$oid": "5f"}}, id_from_content("", "a river"), {"_id": {"$oid": "5f"}}),
    ],
)
def test_an_id_with_an_underscore_counts_where_there_is_no_other(
    tmp_path: Path, row: dict[str, object], passage_id: str, metadata: dict[str, object]
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "a river", **row}))
    [passage] = open_source(path).passages(print)
    assert passage.id == passage_id
    assert passage.metadata == {"source": str(path), **metadata}


def test_questions_that_qrels_cannot_name_are_rejected_alone(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "question": "one?", "answers": 5},
        {"text": "no id?"},
        {"_id": "", "text": "empty id?"},
        {"_id": "2", "text": " "},
        {"_id": "1", "text": "twice?"},
        {"_id": 1.5, "text": "a float?"},
        {"_id": "3", "text": "three?"},
    ]
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rejects: list[Reject] = []
    found = [(q.id, q.text, q.line) for q in read_questions_with_ids(path, rejects.append)]
    assert found == [("1", "one?", 1), ("3", "three?", 7)]
    assert [(reject.line, reject.reason) for reject in rejects] == [
        (2, "no id"),
        (3, "no id"),
        (4, "no question"),
        (5, "an id that another question has: 1"),
        (6, "no id"),
    ]


def test_questions_without_ids_are_refused(tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("who?\t['me']\n")
    with pytest.raises(SourceError, match="other formats have no ids"):
        read_questions_with_ids(tmp_path / "q.tsv", print)
