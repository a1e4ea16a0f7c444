"""Base classes of the sources of passages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rdr_qdrant.passages import Passage
from rdr_qdrant.readers.file_io import FileState, ReadPosition, is_same_file
from rdr_qdrant.readers.line_reader import Quoting
from rdr_qdrant.readers.rejects import Reject, RejectHandler
from rdr_qdrant.readers.row_parser import RowError, passage_from_row
from rdr_qdrant.splitter import SplitRecord


class PassageSource(ABC):
    """A file, folder or stream of passages, read lazily in constant memory.

    Attributes:
        name: name that the user gave; stored as `source` in the metadata of its passages.
        size: bytes on disk, 0 for a stream.
        records_read: rows or passages read so far, including rejected ones.
        rejected_upstream: rows that were rejected when this source was written (by `encode`);
            their ids are unknown.
        path: file that another process on this machine can open instead; `None` if there is no
            such file or if the file alone is not enough.
        quoting: `quoting` to open it with.
        split: how its texts were split when it was written (by `encode`); `None` otherwise.
    """

    rejected_upstream = 0
    split: SplitRecord | None = None
    path: Path | None = None
    quoting: Quoting = "csv"

    def __init__(self, name: str, size: int = 0) -> None:
        self.name = name
        self.size = size
        self.records_read = 0

    def passages(self, reject: RejectHandler) -> Iterator[Passage]:
        """Yield the passages in order and pass unusable records to `reject`."""
        return (passage for _, passage in self.enumerate_passages(reject))

    @abstractmethod
    def enumerate_passages(self, reject: RejectHandler) -> Iterator[tuple[int, Passage]]:
        """Yield each passage with its line or number (from 1); see `passages`."""

    def fraction_read(self) -> float | None:
        """Return the fraction read so far (0 to 1), or `None` if the length is unknown."""
        return None

    def changed_while_read(self) -> str | None:
        """Return how the source changed since it was opened, as one line, or `None`.

        Compares identity, size and modification time of its files, so call it after reading. What
        was read of a changed source may be neither its old nor its new content.
        """
        return None

    def set_progress(self, records_read: int, fraction: float | None) -> None:
        """Take over the progress of another process that reads this source instead.

        Args:
            records_read: rows or passages that it has read.
            fraction: its `fraction_read()`.
        """
        self.records_read = records_read

    def includes_file(self, path: Path) -> bool:
        """Return whether this source reads the file, which must then not be overwritten."""
        return False


class RowSource(PassageSource):
    """A source of rows, one passage per row."""

    def enumerate_passages(self, reject: RejectHandler) -> Iterator[tuple[int, Passage]]:
        """Yield each passage with the line on which its row ends (Parquet: the row's number)."""

        def count_and_reject(row: Reject) -> None:
            self.records_read += 1
            reject(row)

        source = self.name.encode("utf-8", "replace").decode()
        for line, row in self.rows(count_and_reject):
            self.records_read += 1
            try:
                passage = passage_from_row(row, source)
            except RowError as error:
                reject(Reject(self.name, line, str(error), row))
            else:
                yield line, passage

    @abstractmethod
    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield line number and columns of each row; pass rows that do not parse to `reject`."""


class RowFileSource(RowSource):
    """A file of rows.

    Args:
        path: the file.
        state: its state before anything is read of it.
        name: see `PassageSource`.
    """

    path: Path

    def __init__(self, path: Path, state: FileState, name: str) -> None:
        super().__init__(name, state.size)
        self.path = path
        self._state = state
        self.position = ReadPosition()

    def fraction_read(self) -> float | None:
        """Return the fraction of the file's bytes read so far."""
        return min(1.0, self.position.bytes_read / self.size)

    def changed_while_read(self) -> str | None:
        """Return how the file changed since it was opened, or `None`."""
        change = self._state.change_to(self.path)
        return f"{self.name} changed while it was read: it {change}" if change else None

    def set_progress(self, records_read: int, fraction: float | None) -> None:
        """Take over the progress of another process; see `PassageSource.set_progress`."""
        super().set_progress(records_read, fraction)
        self.position.set_bytes_read(round((fraction or 0) * self.size))

    def includes_file(self, path: Path) -> bool:
        """Return whether this is the file."""
        return is_same_file(self.path, path)


def source_changes(sources: Sequence[PassageSource]) -> tuple[str, ...]:
    """Return how sources changed since they were opened, a line for each; ask after reading."""
    return tuple(change for source in sources if (change := source.changed_while_read()))


def fraction_read(sources: Sequence[PassageSource]) -> float | None:
    """Return how much of all sources has been read, 0 to 1, or `None` if a length is unknown."""
    done = total = 0.0
    for source in sources:
        fraction = source.fraction_read()
        if fraction is None:
            return None
        done += fraction * source.size
        total += source.size
    return done / total if total else None
