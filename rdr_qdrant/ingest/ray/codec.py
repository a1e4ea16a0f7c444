"""What goes through a dataset: one batch in one row.

Its rows are lists in columns of Arrow, which are cheap to make and of which each process unpacks
those alone that it looks at. Metadata are JSON: columns of their own would give a passage the keys
of its neighbours, as nulls, and other types to numbers. What is seldom there is a Python value.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rdr_qdrant.ingest.id_index import key_of
from rdr_qdrant.ingest.records import Row
from rdr_qdrant.ingest.remote_batch import Done, RowBatch
from rdr_qdrant.passages import Passage, point_id

REST, PART, KEYS, DIGESTS, LINES = "rest", "part", "keys", "digests", "lines"
SOURCES, IDS, TITLES, TEXTS, METADATA = "sources", "ids", "titles", "texts", "metadata"
VERDICTS = "verdicts"
DONE = "done"


def block_of(batch: RowBatch) -> Any:
    """A batch as a `pyarrow.Table` of one row."""
    import pyarrow as pa
    from ray.data.extensions import ArrowPythonObjectArray

    rows = batch.rows
    passages = [row.passage for row in rows]

    def column(values: list[Any], kind: Any) -> Any:
        return pa.array([values], pa.list_(kind))

    return pa.table(
        {
            REST: ArrowPythonObjectArray.from_objects([_portable(replace(batch, rows=()))]),
            PART: pa.array([batch.part], pa.int64()),
            KEYS: column([key_of(point_id(one.id)) for one in passages], pa.binary()),
            DIGESTS: column([row.content_digest() for row in rows], pa.binary()),
            SOURCES: column([row.source for row in rows], pa.string()),
            LINES: column([row.line for row in rows], pa.int64()),
            IDS: column([one.id for one in passages], pa.string()),
            TITLES: column([one.title for one in passages], pa.string()),
            TEXTS: column([one.text for one in passages], pa.string()),
            METADATA: column([json.dumps(dict(one.metadata)) for one in passages], pa.string()),
        }
    )


def _portable(batch: RowBatch) -> RowBatch:
    """The batch without rejected rows that are nested too deep to be packed."""
    rejects = []
    for reject in batch.rejects:
        try:
            pickle.dumps(reject.row)
        except RecursionError:
            reject = replace(reject, row=None)
        rejects.append(reject)
    return replace(batch, rejects=rejects)


def with_verdicts(block: Any, verdicts: Sequence[str | None]) -> Any:
    """The block with a verdict on each of its rows.

    Args:
        block: from `block_of`.
        verdicts: `None`: it is to be loaded. `""`: it is there already. Else why it is set aside.
    """
    import pyarrow as pa

    return block.append_column(VERDICTS, pa.array([verdicts], pa.list_(pa.string())))


def batch_of(block: Any) -> RowBatch:
    """The batch in a block, with only those of its rows that are to be loaded."""
    batch: RowBatch = block[REST][0].as_py()
    judged = list(zip(_rows(block), block[VERDICTS][0].as_py(), strict=True))
    rejects = [row.set_aside(why) for row, why in judged if why]
    return replace(
        batch,
        rows=[row for row, why in judged if why is None],
        rejects=[*batch.rejects, *rejects],
        same=sum(why == "" for _, why in judged),
        conflicting=len(rejects),
    )


def _rows(block: Any) -> Iterator[Row]:
    names = (SOURCES, LINES, IDS, TITLES, TEXTS, METADATA)
    columns = (block[name][0].as_py() for name in names)
    for source, line, identifier, title, text, metadata in zip(*columns, strict=True):
        yield Row(Passage(identifier, text, title, json.loads(metadata)), source, line)


def boxed(done: Done) -> dict[str, Any]:
    """What became of a batch, as `map_batches` takes it."""
    column = np.empty(1, dtype=object)
    column[0] = done
    return {DONE: column}


def unboxed(results: Mapping[str, Any]) -> Iterator[Done]:
    """What became of some batches."""
    yield from results.get(DONE, ())
