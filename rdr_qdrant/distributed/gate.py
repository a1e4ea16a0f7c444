"""Of rows with one id the first is loaded: one process sees all rows, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rdr_qdrant.distributed.answers import WorkerError, telling
from rdr_qdrant.distributed.boxes import boxed, unboxed
from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.loader.elsewhere import RowBatch
from rdr_qdrant.loader.rows import Row
from rdr_qdrant.loader.seen import SeenPoints, Sighting
from rdr_qdrant.loader.stages import item_of
from rdr_qdrant.readers import Reject


class Gate:
    """Takes the rows out of batches that are not to be loaded; for `map_batches`, in one actor.

    What it saw is in a file, and a batch in one transaction: where the process dies, Ray starts it
    again and gives it the batch again that it had. A row is known by where it stands.

    Args:
        file: the file, on the machine where this runs.
        names: what the user called the parts.
    """

    def __init__(self, file: Path, names: Sequence[str]) -> None:
        self._file = file
        self._names = names

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        [rows] = unboxed(batch)
        try:
            return boxed(telling(lambda: self._sorted(rows)))
        except RDRQdrantError as error:
            return boxed(RowBatch(rows.part, error=error))

    @cached_property
    def _seen(self) -> SeenPoints:
        return SeenPoints(self._file)

    def _sorted(self, batch: RowBatch) -> RowBatch:
        rows: list[Row] = []
        rejects: list[Reject] = []
        same = 0
        with self._seen.transaction():
            for row in batch.rows:
                item = item_of(row, "")  # the content matters here, not what encodes it
                sighting = Sighting(item.content_digest(), str(batch.part), row.line)
                first = self._seen.add(item.id, sighting)
                if first is None or first == sighting:
                    rows.append(row)
                elif first.digest == sighting.digest:
                    same += 1
                elif int(first.source) > batch.part:
                    raise WorkerError("Ray gave out rows in another order than theirs.")
                else:
                    name = self._names[int(first.source)]
                    reason = replace(first, source=name).why_not_again()
                    rejects.append(row.set_aside(reason))
        return replace(
            batch,
            rows=rows,
            rejects=[*batch.rejects, *rejects],
            same=same,
            conflicting=len(rejects),
        )
