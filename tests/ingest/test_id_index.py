"""One id twice in one load, in one batch or far apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.ingest.id_index import FirstOccurrence, IdIndex, IndexRecord
from rdr_qdrant.ingest.records import id_key
from rdr_qdrant.readers import Reject, open_source

Write = Callable[[str, str], Path]


@pytest.fixture
def client() -> QdrantClient:
    return connect(path=":memory:")


def lines(*rows: dict[str, object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_the_second_is_set_aside_and_both_lines_are_named(
    client: QdrantClient, tiny: RDREmbeddings, write: Write
) -> None:
    first = write("a.jsonl", lines(*({"id": str(n), "text": f"river {n}"} for n in range(10))))
    second = write("b.jsonl", lines({"id": "3", "text": "king"}, {"id": "x", "text": "city"}))
    rejects: list[Reject] = []
    report = QdrantLoader(
        embeddings=tiny,
        client=client,
        collection_name="c",
        batch_size=2,
        on_reject=rejects.append,
    ).load_sources([open_source(first), open_source(second)])
    assert (report.read, report.uploaded, report.rejected, report.points) == (12, 11, 1, 11)
    [reject] = rejects
    assert (reject.source, reject.line) == (str(second), 1)
    assert reject.reason == f"id stands twice with different content: first: {first}, line 4"
    assert reject.row["text"] == "king"
    [point] = client.retrieve("c", [3])
    assert point.payload
    assert point.payload["page_content"] == "river 3"


def test_the_same_row_in_two_files_is_no_difference(
    client: QdrantClient, tiny: RDREmbeddings, write: Write
) -> None:
    row = lines({"id": "3", "text": "king", "year": 1})
    sources = [open_source(write(name, row)) for name in ("a.jsonl", "b.jsonl")]
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name="c", batch_size=1)
    report = loader.load_sources(sources)
    assert (report.uploaded, report.unchanged, report.rejected) == (1, 1, 0)
    again = loader.load_sources(sources)
    assert (again.updated, again.unchanged) == (0, 2)


def test_other_metadata_is_a_difference(client: QdrantClient, tiny: RDREmbeddings) -> None:
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name="c", batch_size=1)
    passages = [Passage("1", "king", metadata={"year": year}) for year in (1, 2, 1)]
    report = loader.load(passages)
    assert (report.uploaded, report.unchanged, report.rejected) == (1, 1, 1)


def test_the_id_index_keeps_ids_of_both_kinds_and_remembers_what_is_rejected() -> None:
    index = IdIndex()
    ids = [0, 7, 2**64 - 1, "8f0c5a52-4f0e-5d0a-9d5e-6f1f3c1e7a10"]
    read = [
        IndexRecord(id_key(one), FirstOccurrence(b"digest", "file", line))
        for line, one in enumerate(ids)
    ]
    assert index.add(read) == [None] * len(ids)
    other = IndexRecord(id_key(7), FirstOccurrence(b"other", "other", 9))
    assert index.add([other]) == [FirstOccurrence(b"digest", "file", 1)]
    assert sorted(str(one) for batch in index.batches(3) for one in batch) == sorted(map(str, ids))
    assert index.missing_from([7, 8, ids[3]]) == [8]
    index.reject(7)
    index.reject(9)
    assert index.missing_from([0, 7, 8, 9]) == [7, 8, 9]
    assert index.unread([0, 7, 8, 9]) == [8]
    assert len(index) == 3
    assert 7 not in [one for batch in index.batches(3) for one in batch]
    assert index.add([other]) == [FirstOccurrence(b"digest", "file", 1)]
    index.close()


def test_records_together_have_the_verdicts_that_they_have_one_by_one() -> None:
    """Among them ids that stand twice, and parts of texts whose first part was read elsewhere."""
    random, seen_before = Random(0), 0
    for size in (1, 7, 2500):  # the last takes several statements
        together, one_by_one = IdIndex(), IdIndex()
        for _ in range(4):
            records = [any_record(random, ids=size) for _ in range(size)]
            found = together.add(records)
            assert found == [first for one in records for first in one_by_one.add([one])]
            seen_before += sum(first is not None for first in found)
        assert len(together) == len(one_by_one) >= size
        together.close()
        one_by_one.close()
    assert seen_before > 1000


def any_record(random: Random, ids: int) -> IndexRecord:
    text, part, line = random.randrange(ids), random.randrange(1, 4), random.randrange(1, 3)
    occurrence = FirstOccurrence(random.randbytes(1), random.choice("ab"), line)
    first_part = (id_key(10 * text + 1), line) if part > 1 else None
    return IndexRecord(id_key(10 * text + part), occurrence, first_part)


def test_a_temporary_folder_without_room_is_told() -> None:
    index = IdIndex()
    index._database.execute("PRAGMA max_page_count = 20")

    def fill() -> None:
        for number in range(100_000):
            index.add([IndexRecord(id_key(number), FirstOccurrence(b"digest", "file", number))])

    with pytest.raises(RDRQdrantError, match=r"\(database or disk is full\).* SQLITE_TMPDIR"):
        fill()
    index.close()
