"""The points of one load and where each was first met, in bounded memory."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rdr_qdrant.collection import PointId
from rdr_qdrant.errors import RDRQdrantError

CACHE_KIB = 16 * 1024
"""Memory of the table; what is more goes to a file, about 50 bytes a point."""

_TABLES = """
CREATE TABLE IF NOT EXISTS
    seen (id BLOB PRIMARY KEY, digest BLOB, source INTEGER, line INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (number INTEGER PRIMARY KEY, name TEXT);
"""


@dataclass(frozen=True, slots=True)
class FirstOccurrence:
    """Where a point was first met, and a digest of its content there."""

    digest: bytes
    source: str
    line: int

    def conflict_reason(self) -> str:
        """Why a later row with this id and other content is set aside."""
        where = f"first: {self.source}, line {self.line}"
        return f"id stands twice with different content: {where}"


class IdIndex:
    """A set of point ids with their first sightings.

    Args:
        path: a file that outlives the process that writes it, and what of a transaction was done
            when that was killed is undone. By default a temporary file that nobody else sees,
            where SQLite puts such files: `SQLITE_TMPDIR`, `TMPDIR`, else /var/tmp or /tmp.
    """

    def __init__(self, path: Path | None = None) -> None:
        journal = "OFF" if path is None else "WAL"
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
        """All of what is noted meanwhile is kept, or nothing of it."""
        with _file_errors():
            self._database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        with _file_errors():
            self._database.execute("COMMIT")

    def add(self, point_id: PointId, sighting: FirstOccurrence) -> FirstOccurrence | None:
        """Note a point; returns its first sighting where it is not new."""
        return self.add_key(key_of(point_id), sighting)

    def add_key(self, key: bytes, sighting: FirstOccurrence) -> FirstOccurrence | None:
        """`add` for a point whose key is known."""
        values = (key, sighting.digest, self._number(sighting.source), sighting.line)
        with _file_errors():
            done = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?)", values)
            if done.rowcount:
                return None
            found = self._database.execute(
                "SELECT digest, source, line FROM seen WHERE id = ?", values[:1]
            )
            digest, source, line = found.fetchone()
        return FirstOccurrence(digest, self._sources[source], line)

    def note(self, ids: Iterable[PointId]) -> None:
        """Note points whose sightings nobody will ask for."""
        with _file_errors():
            self._database.executemany(
                "INSERT OR IGNORE INTO seen (id) VALUES (?)", [(key_of(one),) for one in ids]
            )

    def forget(self, point_id: PointId) -> None:
        """It was not written after all."""
        with _file_errors():
            self._database.execute("DELETE FROM seen WHERE id = ?", (key_of(point_id),))

    def without(self, ids: Sequence[PointId]) -> list[PointId]:
        """Those of these points that were not met."""
        keys = {key_of(one): one for one in ids}
        marks = ",".join("?" * len(keys))
        with _file_errors():
            found = self._database.execute(f"SELECT id FROM seen WHERE id IN ({marks})", [*keys])
            met = {key for (key,) in found}
        return [one for key, one in keys.items() if key not in met]

    def batches(self, size: int) -> Iterator[list[PointId]]:
        """All points, so many at a time."""
        with _file_errors():
            found = self._database.execute("SELECT id FROM seen")
            while rows := found.fetchmany(size):
                yield [_point_id(key) for (key,) in rows]

    def close(self) -> None:
        """Drop the table and its file."""
        self._database.close()

    def _number(self, source: str) -> int:
        if source not in self._numbers:
            number = self._numbers[source] = len(self._sources)
            self._sources.append(source)
            self._database.execute("INSERT INTO sources VALUES (?, ?)", (number, source))
        return self._numbers[source]


def key_of(point_id: PointId) -> bytes:
    """A point id in 8 bytes, or in 16."""
    return point_id.to_bytes(8, "big") if isinstance(point_id, int) else uuid.UUID(point_id).bytes


def _point_id(key: bytes) -> PointId:
    return int.from_bytes(key, "big") if len(key) == 8 else str(uuid.UUID(bytes=key))


@contextmanager
def _file_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise RDRQdrantError(
            f"The temporary list of this load's ids cannot be written ({error}). Free some space, "
            "or set SQLITE_TMPDIR to a folder on another disk; the same command goes on."
        ) from None
