"""The point ids of one job and where each was first read, in bounded memory."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rdr_qdrant.collection import PointId
from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.ingest.records import RecordBatch, id_key

CACHE_KIB = 16 * 1024
"""Memory of the table; beyond that it goes to a file, about 50 bytes a point."""

_TABLES = """
CREATE TABLE IF NOT EXISTS
    seen (id BLOB PRIMARY KEY, digest BLOB, source INTEGER, line INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (number INTEGER PRIMARY KEY, name TEXT);
"""


class FirstOccurrence(NamedTuple):
    """The place where an id was first read, and a digest of its content there."""

    digest: bytes
    source: str
    line: int

    def conflict_reason(self) -> str:
        """Why a later record with this id and other content is rejected."""
        where = f"first: {self.source}, line {self.line}"
        return f"id stands twice with different content: {where}"


class IdIndex:
    """A set of point ids with their first occurrences, in SQLite.

    Args:
        path: a file that outlives the process that writes it; a transaction that was cut off by a
            kill is rolled back. By default a temporary file that nobody else sees, where SQLite
            puts such files: `SQLITE_TMPDIR`, `TMPDIR`, else /var/tmp or /tmp.
    """

    def __init__(self, path: Path | None = None) -> None:
        journal = "OFF" if path is None else "WAL"
        self._end_after_error = "COMMIT" if path is None else "ROLLBACK"  # which needs a journal
        with _file_errors():
            self._database = sqlite3.connect(
                path or "", isolation_level=None, check_same_thread=False
            )
            for setting in (
                f"journal_mode = {journal}",
                "synchronous = OFF",
                f"cache_size = -{CACHE_KIB}",
            ):
                self._database.execute(f"PRAGMA {setting}")
            self._database.executescript(_TABLES)
            found = self._database.execute("SELECT name FROM sources ORDER BY number")
            self._sources = [name for (name,) in found]
        self._numbers = {name: number for number, name in enumerate(self._sources)}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write the changes made meanwhile at once, several times as fast as one by one.

        After an error, none of them is kept in a file that outlives the process.
        """
        with _file_errors():
            self._database.execute("BEGIN")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.OperationalError):  # the error may have ended the transaction
                self._database.execute(self._end_after_error)
            raise
        with _file_errors():
            self._database.execute("COMMIT")

    def add(
        self,
        key: bytes,
        occurrence: FirstOccurrence,
        first_part: tuple[bytes, int] | None = None,
    ) -> FirstOccurrence | None:
        """Add an id by its `id_key`, unless it, or its text, was read before.

        Args:
            key: of the id.
            occurrence: where it was read.
            first_part: of a further part of a text, key and line of the first one: if that was
                read elsewhere, this is another text of the same id.

        Returns:
            Where it, or its text, was first read; `None` if it is new.
        """
        if first_part:
            first = self._find(first_part[0])
            if first and (first.source, first.line) != (occurrence.source, first_part[1]):
                return self._find(key) or first
        values = (key, occurrence.digest, self._number(occurrence.source), occurrence.line)
        try:  # once a record
            done = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?)", values)
        except sqlite3.OperationalError as error:
            raise _file_error(error) from None
        return None if done.rowcount else self._find(key)

    def _find(self, key: bytes) -> FirstOccurrence | None:
        with _file_errors():
            found = self._database.execute(
                "SELECT digest, source, line FROM seen WHERE id = ?", (key,)
            ).fetchone()
        if found is None:
            return None
        digest, source, line = found
        return FirstOccurrence(digest, self._sources[source], line)

    def add_many(self, ids: Iterable[PointId]) -> None:
        """Add ids whose first occurrences nobody asks for."""
        with _file_errors():
            self._database.executemany(
                "INSERT OR IGNORE INTO seen (id) VALUES (?)", [(id_key(one),) for one in ids]
            )

    def discard(self, point_id: PointId) -> None:
        """Remove an id, if it is there."""
        with _file_errors():
            self._database.execute("DELETE FROM seen WHERE id = ?", (id_key(point_id),))

    def __len__(self) -> int:
        with _file_errors():
            (count,) = self._database.execute("SELECT count(*) FROM seen").fetchone()
        return int(count)

    def missing_from(self, ids: Sequence[PointId]) -> list[PointId]:
        """Those of these ids that are not in the index."""
        keys = {id_key(one): one for one in ids}
        marks = ",".join("?" * len(keys))
        with _file_errors():
            found = self._database.execute(f"SELECT id FROM seen WHERE id IN ({marks})", [*keys])
            indexed = {key for (key,) in found}
        return [one for key, one in keys.items() if key not in indexed]

    def batches(self, size: int) -> Iterator[list[PointId]]:
        """All ids, `size` at a time."""
        with _file_errors():
            found = self._database.execute("SELECT id FROM seen")
            while rows := found.fetchmany(size):
                yield [_point_id(key) for (key,) in rows]

    def close(self) -> None:
        """Drop the table and its temporary file."""
        self._database.close()

    def _number(self, source: str) -> int:
        if source not in self._numbers:
            number = self._numbers[source] = len(self._sources)
            self._sources.append(source)
            self._database.execute("INSERT INTO sources VALUES (?, ?)", (number, source))
        return self._numbers[source]


def deduplicate(batch: RecordBatch, index: IdIndex) -> RecordBatch:
    """The batch with the first record of each id; the others are counted or rejected."""
    records, rejects = [], list(batch.rejects)
    duplicates = conflicts = 0
    with index.transaction():
        for record in batch.records:
            occurrence = FirstOccurrence(record.content_digest(), record.source, record.line)
            first = index.add(record.key(), occurrence, record.first_part_key())
            if first is None:
                records.append(record)
            elif first.digest == occurrence.digest:
                duplicates += 1
            else:
                conflicts += 1
                rejects.append(record.to_reject(first.conflict_reason()))
    return replace(
        batch, records=records, rejects=rejects, duplicates=duplicates, id_conflicts=conflicts
    )


def _point_id(key: bytes) -> PointId:
    return int.from_bytes(key, "big") if len(key) == 8 else str(uuid.UUID(bytes=key))


@contextmanager
def _file_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise _file_error(error) from None


def _file_error(error: sqlite3.OperationalError) -> RDRQdrantError:
    return RDRQdrantError(
        f"The temporary index of this job's ids cannot be written ({error}). Free some space, "
        "or set SQLITE_TMPDIR to a folder on another disk; run the same command to resume."
    )
