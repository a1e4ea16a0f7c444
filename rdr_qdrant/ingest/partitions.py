"""What a load reads, part by part: each here, or by whichever process of this machine reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rdr_qdrant.collection import Collection
from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.ingest.records import Row, rows_of_sources
from rdr_qdrant.readers import PassageSource, Reject, RejectHandler, open_source
from rdr_qdrant.readers.documents import StoredDocumentLookup

RowsOf = Callable[[RejectHandler, Collection], Iterable[Row]]


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a file of rows anew, from its start, in any process of this machine.

    Attributes:
        path: of the file.
        name: what the user called it.
        split: see `QdrantLoader.load_sources`.
        id_prefix: likewise.
    """

    path: Path
    name: str
    split: int | None
    id_prefix: str

    def open(self) -> PassageSource:
        """The source, at its start.

        Raises:
            SourceError: see `open_source`.
        """
        return open_source(self.path, self.name)

    def rows(self, source: PassageSource, reject: RejectHandler) -> Iterator[Row]:
        """The rows of the source that was opened; what cannot be used goes to `reject`."""
        return rows_of_sources([source], reject, self.split, self.id_prefix, _nothing_known)

    def as_named(self, error: RDRQdrantError) -> RDRQdrantError:
        """An error of this file by the name that the user gave."""
        return type(error)(str(error).replace(str(self.path), self.name))

    def has_rows(self) -> bool:
        """Whether there is a row that can be used.

        Raises:
            SourceError: it cannot be read as far as that.
        """
        try:
            return next(self.rows(self.open(), _nowhere), None) is not None
        except RDRQdrantError as error:
            raise self.as_named(error) from None


@dataclass(frozen=True, slots=True)
class Part:
    """A source, or an iterable.

    Attributes:
        name: what the user called it.
        rows: reads it here.
        source: what is read; `None` where it is an iterable.
        reading: how to read it in another process; `None` where that cannot be.
    """

    name: str
    rows: RowsOf
    source: PassageSource | None = None
    reading: Reading | None = None


def part_of(source: PassageSource, split: int | None, id_prefix: str, recall: RecallOf) -> Part:
    """A source as a part of a load.

    Args:
        source: from `open_source`.
        split: see `QdrantLoader.load_sources`.
        id_prefix: likewise.
        recall: what the collection knows of documents.
    """

    def rows(reject: RejectHandler, collection: Collection) -> Iterable[Row]:
        return rows_of_sources([source], reject, split, id_prefix, recall(collection))

    path = source.path
    reading = Reading(path.absolute(), source.name, split, id_prefix) if path else None
    return Part(source.name, rows, source, reading)


RecallOf = Callable[[Collection], StoredDocumentLookup]


def _nothing_known(path: str, shared: object) -> None:
    """Files of rows hold no documents."""


def _nowhere(row: Reject) -> None:
    """It is told when it is read."""
