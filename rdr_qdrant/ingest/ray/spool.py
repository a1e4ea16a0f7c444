"""`Spool`: records that only the driver can read, in files for a read task.

A stream, an iterable and documents can be read only once, but Ray may run a read task again. So the
driver writes the batches into a folder, and the read task follows it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.ingest.records import RecordBatch, SourceRecord
from rdr_qdrant.passages import Passage, point_id

SECONDS_BETWEEN_POLLS = 0.1
END = "end"


class Spool:
    """The driver's side: writes the batches of one partition.

    Args:
        number: index of the partition.
        folder: where to.

    Attributes:
        in_flight: batches that were written and have no result yet.
    """

    def __init__(self, number: int, folder: Path) -> None:
        self._number = number
        self._folder = folder
        self._written = self._done = 0

    @property
    def in_flight(self) -> int:
        return self._written - self._done

    def write(self, records: Iterable[SourceRecord]) -> None:
        """Write a batch, atomically.

        Raises:
            RDRQdrantError: the file cannot be written.
        """
        values = [_to_values(record) for record in records]
        self._replace_file(self._written, json.dumps(values, ensure_ascii=False))
        self._written += 1

    def mark_done(self) -> None:
        """Free the disk space of the oldest batch, which has its result.

        An empty file stays: a read task that runs again has to return as many batches.
        """
        self._replace_file(self._done, "[]")
        self._done += 1

    def end(self) -> None:
        """Let the read task end after the batches written so far."""
        self._replace_file(END, "")

    def _replace_file(self, name: int | str, text: str) -> None:
        file = _file(self._folder, self._number, name)
        partial = file.with_suffix(".part")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(file)
        except OSError as error:
            raise RDRQdrantError(
                f"Cannot write records for the workers into {self._folder} ({error.strerror}). "
                "Free some space, or set TMPDIR to a folder on another disk, and run the same "
                "command to resume."
            ) from None


def read_spool(number: int, folder: Path, is_stopped: Callable[[], bool]) -> Iterator[RecordBatch]:
    """The batches of a spool as the driver writes them, until its end or `is_stopped`."""
    count = 0
    while not is_stopped():
        file = _file(folder, number, count)
        if file.exists():
            values = json.loads(file.read_text(encoding="utf-8"))
            yield RecordBatch(number, [_from_values(one) for one in values])
            count += 1
        elif _file(folder, number, END).exists() and not file.exists():
            return
        else:
            time.sleep(SECONDS_BETWEEN_POLLS)


def _file(folder: Path, number: int, name: int | str) -> Path:
    return folder / f"partition-{number}-{name}.json"


def _to_values(record: SourceRecord) -> list[Any]:
    passage = record.passage
    point_id(passage.id)  # an id that is no string is refused here, in the caller's own traceback
    return [
        record.source,
        record.line,
        passage.id,
        passage.title,
        passage.text,
        dict(passage.metadata),
        record.first_part,
    ]


def _from_values(values: Sequence[Any]) -> SourceRecord:
    source, line, identifier, title, text, metadata, first_part = values
    passage = Passage(identifier, text, title, metadata)
    return SourceRecord(passage, source, line, first_part and (first_part[0], first_part[1]))
