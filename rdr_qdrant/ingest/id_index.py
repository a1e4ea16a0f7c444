"""The point ids of one job and where each was first read, in bounded memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rdr_qdrant.collection import PointId
from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.ingest.records import RecordBatch, SourceRecord, id_key

T = TypeVar("T")

CACHE_KIB = 16 * 1024
"""Memory of the table; beyond that it goes to a file, about 50 bytes a point."""
MAX_PARAMETERS = 960
"""Of a statement; SQLite before 3.32 takes 999."""

_TABLES = """
CREATE TABLE IF NOT EXISTS seen (
    id BLOB PRIMARY KEY, digest BLOB, source INTEGER, line INTEGER, rejected INTEGER DEFAULT 0
) WITHOUT ROWID;
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


class IndexRecord(NamedTuple):
    """A record, as far as the index has to know it.

    Attributes:
        key: the `id_key` of its point.
        occurrence: where it was read.
        first_part: of a further part of a text, key and line of the first one: if that was read
            elsewhere, this is another text of the same id.
    """

    key: bytes
    occurrence: FirstOccurrence
    first_part: tuple[bytes, int] | None = None

    @classmethod
    def of(cls, record: SourceRecord) -> IndexRecord:
        """That of a record that was read in this process."""
        occurrence = FirstOccurrence(record.content_digest(), record.source, record.line)
        return cls(record.key(), occurrence, record.first_part_key())


class IdIndex:
    """The ids of points and their first occurrences, in SQLite.

    An id that is rejected afterwards is no longer one of them, but still has been read: whether a
    later record of that id is a conflict must not depend on how soon the first one was rejected.

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

    def add(self, records: Iterable[IndexRecord]) -> list[FirstOccurrence | None]:
        """Add ids, each unless it, or its text, was read before.

        A few statements for all of them: in each, nothing holds the interpreter lock.

        Args:
            records: in the order in which they were read.

        Returns:
            For each, where it, or its text, was first read; `None` if it is new.
        """
        records = list(records)
        keys = {one.key for one in records}
        known = self._find(keys.union(one.first_part[0] for one in records if one.first_part))
        found: list[FirstOccurrence | None] = []
        new: list[tuple[bytes, bytes, int, int]] = []
        for key, occurrence, first_part in records:
            first, text = known.get(key), None
            if first_part:
                text = known.get(first_part[0])
                if text and (text.source, text.line) == (occurrence.source, first_part[1]):
                    text = None  # its own
            found.append(first or text)
            if first is None and text is None:
                known[key] = occurrence
                number = self._number(occurrence.source)
                new.append((key, occurrence.digest, number, occurrence.line))
        for part in _parts(new, MAX_PARAMETERS // 4):
            marks = _marks(part, "(?,?,?,?)")
            self._execute(
                f"INSERT INTO seen (id, digest, source, line) VALUES {marks}", chain(*part)
            )
        return found

    def _find(self, keys: Iterable[bytes]) -> dict[bytes, FirstOccurrence]:
        found = {}
        for part in _parts(list(keys), MAX_PARAMETERS):
            rows = self._execute(
                f"SELECT id, digest, source, line FROM seen WHERE id IN ({_marks(part, '?')})", part
            )
            for key, digest, source, line in rows:
                found[key] = FirstOccurrence(digest, self._sources[source], line)
        return found

    def add_many(self, ids: Iterable[PointId]) -> None:
        """Add ids whose first occurrences nobody asks for."""
        for part in _parts([id_key(one) for one in ids], MAX_PARAMETERS):
            self._execute(f"INSERT OR IGNORE INTO seen (id) VALUES {_marks(part, '(?)')}", part)

    def reject(self, point_id: PointId) -> None:
        """Leave out an id from now on, though it has been read."""
        self._execute(
            "INSERT INTO seen (id, rejected) VALUES (?, 1) ON CONFLICT DO UPDATE SET rejected = 1",
            [id_key(point_id)],
        )

    def __len__(self) -> int:
        [(count,)] = self._execute("SELECT count(*) FROM seen WHERE NOT rejected")
        return int(count)

    def missing_from(self, ids: Sequence[PointId]) -> list[PointId]:
        """Those of these ids that are not in the index: not read, or rejected afterwards."""
        return self._not_among(ids, "NOT rejected AND")

    def unread(self, ids: Sequence[PointId]) -> list[PointId]:
        """Those of these ids that were not read; a rejected one was."""
        return self._not_among(ids)

    def _not_among(self, ids: Sequence[PointId], condition: str = "") -> list[PointId]:
        keys = {id_key(one): one for one in ids}
        found: set[bytes] = set()
        for part in _parts(list(keys), MAX_PARAMETERS):
            where = f"{condition} id IN ({_marks(part, '?')})"
            found.update(
                key for (key,) in self._execute(f"SELECT id FROM seen WHERE {where}", part)
            )
        return [one for key, one in keys.items() if key not in found]

    def batches(self, size: int) -> Iterator[list[PointId]]:
        """All ids, `size` at a time."""
        with _file_errors():
            found = self._database.execute("SELECT id FROM seen WHERE NOT rejected")
            while rows := found.fetchmany(size):
                yield [_point_id(key) for (key,) in rows]

    def close(self) -> None:
        """Drop the table and its temporary file."""
        self._database.close()

    def _number(self, source: str) -> int:
        if source not in self._numbers:
            number = self._numbers[source] = len(self._sources)
            self._sources.append(source)
            self._execute("INSERT INTO sources VALUES (?, ?)", [number, source])
        return self._numbers[source]

    def _execute(self, statement: str, parameters: Iterable[Any] = ()) -> list[Any]:
        with _file_errors():
            return self._database.execute(statement, list(parameters)).fetchall()


def deduplicate(batch: RecordBatch, index: IdIndex) -> RecordBatch:
    """The batch with the first record of each id; the others are counted or rejected."""
    records, rejects = [], list(batch.rejects)
    duplicates = conflicts = 0
    read = [IndexRecord.of(record) for record in batch.records]
    with index.transaction():
        found = index.add(read)
    for record, (_, occurrence, _), first in zip(batch.records, read, found, strict=True):
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


def _parts(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _marks(values: Sequence[Any], mark: str) -> str:
    return ",".join([mark] * len(values))


def _point_id(key: bytes) -> PointId:
    if len(key) == 8:
        return int.from_bytes(key, "big")
    digits = key.hex()  # `uuid.UUID` takes three times as long
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


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
