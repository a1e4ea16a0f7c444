"""Of rows with one id the first is loaded: one process sees all ids, in the order of their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.ingest.id_index import FirstOccurrence, IdIndex
from rdr_qdrant.ingest.ray.codec import (
    DIGESTS,
    KEYS,
    LINES,
    PART,
    block_of,
    with_verdicts,
)
from rdr_qdrant.ingest.ray.errors import WorkerError, telling
from rdr_qdrant.ingest.remote_batch import RowBatch


class Gate:
    """Says of each row whether it is to be loaded; for `map_batches`, in one actor.

    What it saw is in a file, and a batch in one transaction: where the process dies, Ray starts it
    again and gives it the batch again that it had. A row is known by where it stands.

    Args:
        file: the file, on the machine where this runs.
        names: what the user called the parts.
    """

    def __init__(self, file: Path, names: Sequence[str]) -> None:
        self._file = file
        self._names = names

    def __call__(self, block: Any) -> Any:
        """The block with its verdicts; where there can be none, a block with the error."""
        try:
            return telling(lambda: with_verdicts(block, self._judge(block)))
        except RDRQdrantError as error:
            failed = RowBatch(block[PART][0].as_py(), error=error)
            return with_verdicts(block_of(failed), [])

    def _judge(self, block: Any) -> list[str | None]:
        with self._seen.transaction():
            return list(self._verdicts(block))

    @cached_property
    def _seen(self) -> IdIndex:
        return IdIndex(self._file)

    def _verdicts(self, block: Any) -> Iterator[str | None]:
        part = block[PART][0].as_py()
        columns = (block[name][0].as_py() for name in (KEYS, DIGESTS, LINES))
        for key, digest, line in zip(*columns, strict=True):
            sighting = FirstOccurrence(digest, str(part), line)
            first = self._seen.add_key(key, sighting)
            if first is None or first == sighting:
                yield None
            elif first.digest == digest:
                yield ""
            elif int(first.source) > part:
                raise WorkerError("Ray gave out rows in another order than theirs.")
            else:
                name = self._names[int(first.source)]
                yield FirstOccurrence(first.digest, name, first.line).conflict_reason()
