"""The first record of each id passes, also if the deduplicating process is restarted."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdr_qdrant import Passage
from rdr_qdrant.ingest.records import RecordBatch, SourceRecord
from rdr_qdrant.readers import Reject

pytest.importorskip("ray")
from rdr_qdrant.ingest.ray.codec import add_verdicts, decode_batch, encode_batch
from rdr_qdrant.ingest.ray.deduplicator import Deduplicator


def test_a_restarted_deduplicator_gives_the_same_verdicts(tmp_path: Path) -> None:
    def batch(partition: int, *texts: str) -> RecordBatch:
        records = [SourceRecord(Passage(text[0], text), "f", n) for n, text in enumerate(texts)]
        return RecordBatch(partition, records)

    def deduplicate(batch: RecordBatch, folder: Path = tmp_path) -> RecordBatch:
        """By a deduplicator that was just started."""
        names = ["first.jsonl", "second.jsonl"]
        return decode_batch(Deduplicator(folder / "ids", names)(encode_batch(batch)))

    passed = deduplicate(batch(0, "a1", "b1", "a2"))
    assert [record.passage.text for record in passed.records] == ["a1", "b1"]
    assert deduplicate(batch(0, "a1", "b1", "a2")) == passed
    other = deduplicate(batch(1, "a1", "b2", "c1"))
    assert [record.passage.text for record in other.records] == ["c1"]
    assert (other.duplicates, other.id_conflicts) == (1, 1)
    [reject] = other.rejects
    assert "first: first.jsonl, line 1" in reject.reason
    late = deduplicate(batch(0, "c2"))
    assert "another order" in str(late.error)
    unwritable = deduplicate(batch(0, "d1"), tmp_path / "nowhere")
    assert "Free some space" in str(unwritable.error)
    assert not unwritable.records


def test_a_reject_that_is_nested_too_deep_to_pickle_passes_without_its_row() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    found = RecordBatch(0, rejects=[Reject("f", 1, "nested too deep", deep)])
    assert decode_batch(add_verdicts(encode_batch(found), [])).rejects == [
        Reject("f", 1, "nested too deep", None)
    ]
