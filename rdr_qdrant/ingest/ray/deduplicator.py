"""`Deduplicator`: the one process that sees all ids of a job, in the order of their records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.ingest.id_index import FirstOccurrence, IdIndex, IndexRecord
from rdr_qdrant.ingest.ray.codec import (
    DIGESTS,
    DUPLICATE,
    FIRST_LINES,
    FIRST_PARTS,
    KEYS,
    LINES,
    PARTITION,
    add_verdicts,
    encode_batch,
)
from rdr_qdrant.ingest.ray.errors import WorkerError, wrap_worker_errors
from rdr_qdrant.ingest.records import RecordBatch


class Deduplicator:
    """Marks each record as the first of its id, a duplicate or a conflict; for `map_batches`.

    Its index is a file, and each batch is one transaction. If the process dies, Ray restarts it
    and repeats the batch; a record is recognized by its partition and line, so the verdicts are
    the same.

    Args:
        file: the index, on the machine where this runs.
        names: names of the partitions, as the user gave them.
    """

    def __init__(self, file: Path, names: Sequence[str]) -> None:
        self._file = file
        self._names = names

    def __call__(self, block: Any) -> Any:
        """The encoded batch with its verdicts; after a failure, an empty batch with the error."""
        try:
            with wrap_worker_errors(), self._index.transaction():
                return add_verdicts(block, list(self._verdicts(block)))
        except RDRQdrantError as error:
            failed = RecordBatch(block[PARTITION][0].as_py(), error=error)
            return add_verdicts(encode_batch(failed), [])

    @cached_property
    def _index(self) -> IdIndex:
        return IdIndex(self._file)

    def _verdicts(self, block: Any) -> Iterator[str | None]:
        partition = block[PARTITION][0].as_py()
        names = (KEYS, DIGESTS, LINES, FIRST_PARTS, FIRST_LINES)
        columns = (block[name][0].as_py() for name in names)
        read = [
            IndexRecord(
                key,
                FirstOccurrence(digest, str(partition), line),
                (first_part, first_line) if first_part else None,
            )
            for key, digest, line, first_part, first_line in zip(*columns, strict=True)
        ]
        for (_, occurrence, _), first in zip(read, self._index.add(read), strict=True):
            if first is None or first == occurrence:
                yield None
            elif first.digest == occurrence.digest:
                yield DUPLICATE
            elif int(first.source) > partition:
                raise WorkerError("Ray passed on records in another order than they were read.")
            else:
                name = self._names[int(first.source)]
                yield FirstOccurrence(first.digest, name, first.line).conflict_reason()
