"""Of rows with one id the first goes through, whatever becomes of the process that looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdr_qdrant import Passage
from rdr_qdrant.ingest.records import Row
from rdr_qdrant.ingest.remote_batch import RowBatch
from rdr_qdrant.readers import Reject

pytest.importorskip("ray")
from rdr_qdrant.ingest.ray.codec import batch_of, block_of, with_verdicts
from rdr_qdrant.ingest.ray.deduplicator import Gate


def test_the_gate_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    def batch(part: int, *texts: str) -> RowBatch:
        rows = [Row(Passage(text[0], text), "f", n) for n, text in enumerate(texts)]
        return RowBatch(part, rows)

    def through(gate: Gate, rows: RowBatch) -> RowBatch:
        return batch_of(gate(block_of(rows)))

    names = ["first.jsonl", "second.jsonl"]
    passed = through(Gate(tmp_path / "seen", names), batch(0, "a1", "b1", "a2"))
    assert [row.passage.text for row in passed.rows] == ["a1", "b1"]
    again = through(Gate(tmp_path / "seen", names), batch(0, "a1", "b1", "a2"))
    assert again == passed
    other = through(Gate(tmp_path / "seen", names), batch(1, "a1", "b2", "c1"))
    assert [row.passage.text for row in other.rows] == ["c1"]
    assert (other.same, other.conflicting) == (1, 1)
    [reject] = other.rejects
    assert "first: first.jsonl, line 1" in reject.reason
    late = through(Gate(tmp_path / "seen", names), batch(0, "c2"))
    assert "another order" in str(late.error)
    unwritable = through(Gate(tmp_path / "nowhere" / "seen", names), batch(0, "d1"))
    assert "Free some space" in str(unwritable.error)
    assert not unwritable.rows


def test_a_row_that_is_nested_too_deep_to_travel_is_set_aside_all_the_same() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    found = RowBatch(0, rejects=[Reject("f", 1, "nested too deep", deep)])
    assert batch_of(with_verdicts(block_of(found), [])).rejects == [
        Reject("f", 1, "nested too deep", None)
    ]
