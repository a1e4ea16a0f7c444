"""A source of passages: checked when it is opened, read when it is iterated."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from rdr_qdrant.errors import SourceError
from rdr_qdrant.passages import Passage
from rdr_qdrant.readers import delimited, jsonlines, parquet
from rdr_qdrant.readers.base import PassageSource
from rdr_qdrant.readers.documents import KNOWN_KINDS, kind_of, open_documents
from rdr_qdrant.readers.io import (
    Position,
    check_readable,
    is_folder,
    open_bytes,
    same_file,
    suffix_of,
)
from rdr_qdrant.readers.row_parser import Reject, RejectHandler, RowError, passage_from_row

STDIN = "-"
KNOWN_FORMATS = (
    ".tsv, .csv, .jsonl, .parquet (each also .gz), or - for JSON Lines from stdin; "
    f"documents: {KNOWN_KINDS}, or a folder of them"
)


class RowSource(PassageSource):
    """A source of rows, each of which is a passage."""

    def numbered_passages(self, reject: RejectHandler) -> Iterator[tuple[int, Passage]]:
        """`passages`, each with the line at which its row ends (in Parquet: the row's number)."""

        def count_and_reject(row: Reject) -> None:
            self.read += 1
            reject(row)

        for line, row in self.rows(count_and_reject):
            self.read += 1
            try:
                passage = passage_from_row(row, self.name)
            except RowError as error:
                reject(Reject(self.name, line, str(error), row))
            else:
                yield line, passage

    @abstractmethod
    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        """Line number and columns of each row; what cannot be parsed goes to `reject`."""


class _File(RowSource):
    path: Path

    def __init__(self, path: Path, size: int, name: str) -> None:
        super().__init__(name, size)
        self.path = path
        self.position = Position()

    def fraction_read(self) -> float | None:
        return min(1.0, self.position.bytes_read / self.size)

    def was_read_elsewhere(self, read: int, fraction: float | None) -> None:
        super().was_read_elsewhere(read, fraction)
        self.position.reached(round((fraction or 0) * self.size))

    def reads(self, path: Path) -> bool:
        return same_file(self.path, path)


class _Table(_File):
    def __init__(self, path: Path, size: int, name: str) -> None:
        super().__init__(path, size, name)
        self.delimiter = delimited.DELIMITERS[suffix_of(path)]
        self.header = delimited.read_header(path, self.delimiter)

    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        return delimited.read_rows(
            self.path, self.name, self.delimiter, self.header, self.position, reject
        )


class _JSONLines(_File):
    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        with open_bytes(self.path, self.position) as stream:
            yield from jsonlines.read_objects(stream, self.name, reject)


class _Parquet(_File):
    def __init__(self, path: Path, size: int, name: str) -> None:
        super().__init__(path, size, name)
        self.parquet = parquet.open_parquet(path)
        self.total = self.parquet.metadata.num_rows

    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        return parquet.read_rows(self.path, self.name, self.parquet, reject)

    def fraction_read(self) -> float | None:
        return self.read / self.total if self.total else 1.0


class _Stream(RowSource):
    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(STDIN)
        self.stream = stream

    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        try:
            yield from jsonlines.read_objects(self.stream, self.name, reject)
        except OSError as error:
            raise SourceError(f"Cannot read standard input: {error.strerror}.") from None


_FORMATS: dict[str, type[_File]] = {
    ".tsv": _Table,
    ".csv": _Table,
    ".jsonl": _JSONLines,
    ".parquet": _Parquet,
}


def open_source(source: str | Path, name: str | None = None) -> PassageSource:
    """A file of passages by its extension, a folder, or `-` for JSON Lines from standard input.

    Everything that can be known without reading it through is checked here.

    Args:
        source: its path, or `-`.
        name: of a file of rows, what it is called in metadata; by default its path.

    Raises:
        SourceError: no such file, an empty one, an unknown extension, columns that are missing, a
            folder without documents, or a package that is not installed.
    """
    if str(source) == STDIN:
        if sys.stdin is None:
            raise SourceError("There is no standard input to read: it is closed.")
        return _Stream(sys.stdin.buffer)
    path = Path(source)
    if is_folder(path) and str(source):  # an empty name is no wish to read where one is
        return open_documents(path)
    size = check_readable(path)
    if kind_of(path.name):
        return open_documents(path)
    try:
        kind = _FORMATS[suffix_of(path)]
    except KeyError:
        raise SourceError(
            f"{path} has an extension that is not known ({path.suffix or 'none'}). "
            f"Known: {KNOWN_FORMATS}."
        ) from None
    return kind(path, size, name or str(path))
