"""Batches and results as rows of a Ray dataset: one batch is one row.

The records of a batch are lists in Arrow columns, which are cheap to make, and of which each
process decodes only those that it needs. Metadata are JSON: Arrow columns of their own would give
a passage the keys of its neighbours, as nulls, and change the types of numbers. Rare parts of a
batch (rejects, an error) are pickled Python values.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rdr_qdrant.ingest.batch_result import BatchResult
from rdr_qdrant.ingest.records import RecordBatch, SourceRecord
from rdr_qdrant.passages import Passage

BATCH, PARTITION = "batch", "partition"
KEYS, DIGESTS, LINES = "keys", "digests", "lines"
FIRST_PARTS, FIRST_LINES = "first_parts", "first_lines"
SOURCES, IDS, TITLES, TEXTS, METADATA = "sources", "ids", "titles", "texts", "metadata"
VERDICTS = "verdicts"
RESULT = "result"

DUPLICATE = ""
"""Verdict on a record whose id and content an earlier record has."""


def encode_batch(batch: RecordBatch) -> Any:
    """A batch as a `pyarrow.Table` of one row."""
    import pyarrow as pa
    from ray.data.extensions import ArrowPythonObjectArray

    records = batch.records
    passages = [record.passage for record in records]
    first_parts = [record.first_part_key() or (None, None) for record in records]

    def column(values: list[Any], kind: Any) -> Any:
        return pa.array([values], pa.list_(kind))

    without_records = _portable(replace(batch, records=()))
    return pa.table(
        {
            BATCH: ArrowPythonObjectArray.from_objects([without_records]),
            PARTITION: pa.array([batch.partition], pa.int64()),
            KEYS: column([record.key() for record in records], pa.binary()),
            FIRST_PARTS: column([key for key, _ in first_parts], pa.binary()),
            FIRST_LINES: column([line for _, line in first_parts], pa.int64()),
            DIGESTS: column([record.content_digest() for record in records], pa.binary()),
            SOURCES: column([record.source for record in records], pa.string()),
            LINES: column([record.line for record in records], pa.int64()),
            IDS: column([one.id for one in passages], pa.string()),
            TITLES: column([one.title for one in passages], pa.string()),
            TEXTS: column([one.text for one in passages], pa.string()),
            METADATA: column([json.dumps(dict(one.metadata)) for one in passages], pa.string()),
        }
    )


def _portable(batch: RecordBatch) -> RecordBatch:
    """The batch without the rows of rejects that are nested too deep to be pickled."""
    rejects = []
    for reject in batch.rejects:
        try:
            pickle.dumps(reject.row)
        except RecursionError:
            reject = replace(reject, row=None)
        rejects.append(reject)
    return replace(batch, rejects=rejects)


def add_verdicts(block: Any, verdicts: Sequence[str | None]) -> Any:
    """The encoded batch with a verdict on each of its records.

    Args:
        block: from `encode_batch`.
        verdicts: `None` for the first record of an id, `DUPLICATE`, or the reason for a reject.
    """
    import pyarrow as pa

    return block.append_column(VERDICTS, pa.array([verdicts], pa.list_(pa.string())))


def decode_batch(block: Any) -> RecordBatch:
    """The deduplicated batch: its verdicts are applied."""
    batch: RecordBatch = block[BATCH][0].as_py()
    judged = list(zip(_records(block), block[VERDICTS][0].as_py(), strict=True))
    conflicts = [record.to_reject(verdict) for record, verdict in judged if verdict]
    return replace(
        batch,
        records=[record for record, verdict in judged if verdict is None],
        rejects=[*batch.rejects, *conflicts],
        duplicates=sum(verdict == DUPLICATE for _, verdict in judged),
        id_conflicts=len(conflicts),
    )


def _records(block: Any) -> Iterator[SourceRecord]:
    names = (SOURCES, LINES, IDS, TITLES, TEXTS, METADATA)
    columns = (block[name][0].as_py() for name in names)
    for source, line, identifier, title, text, metadata in zip(*columns, strict=True):
        yield SourceRecord(Passage(identifier, text, title, json.loads(metadata)), source, line)


def encode_result(result: BatchResult) -> dict[str, Any]:
    """A result as `map_batches` takes it."""
    column = np.empty(1, dtype=object)
    column[0] = result
    return {RESULT: column}


def decode_results(rows: Mapping[str, Any]) -> Iterator[BatchResult]:
    """The results in some rows of the dataset."""
    yield from rows.get(RESULT, ())
