"""Rows of a load as a dataset: each part of it is one read task.

Read tasks run where the load was started, for that is where its files are, side by side, and Ray
runs one again whose process died: it gives out the same batches. So a part that can be read only
once (a stream, an iterable, documents, which are converted apart) is read by the driver, which
writes its rows into files of a folder; the read task follows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.ingest.partitions import Reading
from rdr_qdrant.ingest.ray.codec import block_of
from rdr_qdrant.ingest.ray.control_actor import Watch
from rdr_qdrant.ingest.records import Row
from rdr_qdrant.ingest.remote_batch import RowBatch
from rdr_qdrant.passages import Passage, point_id
from rdr_qdrant.readers import Reject

SECONDS_BETWEEN_LOOKS = 0.1
END = "end"


def datasource(parts: Sequence[Reading | None], folder: Path, batch_size: int, board: Any) -> Any:
    """A `ray.data.Datasource` whose rows are each a `RowBatch`.

    Args:
        parts: how to read each; `None` where the driver writes it into the folder.
        folder: of the machine where the load was started.
        batch_size: rows in a batch.
        board: a `Board`.
    """
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask

    def read(number: int, reading: Reading | None) -> Iterator[Any]:
        with Watch(board) as watch:
            stopped = watch.stopped.is_set
            if reading is None:
                batches = follow(number, folder, stopped)
            else:
                batches = read_batches(number, reading, batch_size, stopped)
            yield from map(block_of, batches)

    class Rows(Datasource):
        """Passages of files and of what the driver reads."""

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]

        def get_name(self) -> str:
            return "Passages"

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
            unknown = BlockMetadata(
                num_rows=None, size_bytes=None, input_files=None, exec_stats=None
            )
            return [
                ReadTask(partial(read, number, reading), unknown)
                for number, reading in enumerate(parts)
            ]

    return Rows()


def read_batches(
    number: int, reading: Reading, size: int, stopped: Callable[[], bool]
) -> Iterator[RowBatch]:
    """A file's rows, so many at a time, the same at each reading."""
    rejects: list[Reject] = []

    def so_far(rows: Sequence[Row], error: RDRQdrantError | None = None) -> RowBatch:
        found = RowBatch(
            number, rows, tuple(rejects), source.records_read, source.fraction_read(), error=error
        )
        rejects.clear()
        return found

    try:
        source = reading.open()
    except RDRQdrantError as error:
        yield RowBatch(number, error=reading.as_named(error))
        return
    rows = reading.rows(source, rejects.append)
    while not stopped():
        found: list[Row] = []
        try:
            found.extend(islice(rows, size))
        except RDRQdrantError as error:
            yield so_far(found, reading.as_named(error))
            return
        batch = so_far(found)
        if found or batch.rejects:
            yield batch
        if not found:
            return


def follow(number: int, folder: Path, stopped: Callable[[], bool]) -> Iterator[RowBatch]:
    """The batches that the driver writes, as they come."""
    count = read = 0
    while not stopped():
        file = _file(folder, number, count)
        if file.exists():
            rows = [_row(values) for values in json.loads(file.read_text(encoding="utf-8"))]
            count, read = count + 1, read + len(rows)
            yield RowBatch(number, rows, read=read)
        elif _file(folder, number, END).exists() and not file.exists():
            return
        else:
            time.sleep(SECONDS_BETWEEN_LOOKS)


class Spool:
    """The driver's side: writes the rows of a part for `follow`.

    Attributes:
        ahead: batches that were written and are not done.
    """

    def __init__(self, number: int, folder: Path) -> None:
        self._number = number
        self._folder = folder
        self._count = self._done = 0

    @property
    def ahead(self) -> int:
        return self._count - self._done

    def write(self, rows: Iterable[Row]) -> None:
        """Write a batch; whoever sees its file sees all of it.

        Raises:
            RDRQdrantError: there is no room for it.
        """
        self._put(self._count, json.dumps([_values(row) for row in rows], ensure_ascii=False))
        self._count += 1

    def one_done(self) -> None:
        """The next batch is done: its rows are needed no more.

        Its file stays, empty: a read task that is run again gives out as many batches.
        """
        self._put(self._done, "[]")
        self._done += 1

    def end(self) -> None:
        """There are no more."""
        self._put(END, "")

    def _put(self, name: int | str, text: str) -> None:
        file = _file(self._folder, self._number, name)
        part = file.with_suffix(".part")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(file)
        except OSError as error:
            raise RDRQdrantError(
                f"Rows cannot be written into {self._folder} for the workers ({error.strerror}). "
                "Free some space, or set TMPDIR to a folder on another disk; the same command "
                "goes on."
            ) from None


def _file(folder: Path, number: int, name: int | str) -> Path:
    return folder / f"part-{number}-{name}.json"


def _values(row: Row) -> list[Any]:
    passage = row.passage
    point_id(passage.id)  # what is no text is refused here, by the caller's own traceback
    return [
        row.source,
        row.line,
        passage.id,
        passage.title,
        passage.text,
        dict(passage.metadata),
    ]


def _row(values: Sequence[Any]) -> Row:
    source, line, identifier, title, text, metadata = values
    return Row(Passage(identifier, text, title, metadata), source, line)
