"""One shard as a Parquet file (extra `parquet`): written and read in row groups."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rdr_qdrant.atomic_io import replace_atomically, temporary_path, translate_write_errors
from rdr_qdrant.errors import RDRQdrantError, SourceError, install_hint
from rdr_qdrant.export.manifest import ShardEntry, shard_name
from rdr_qdrant.export.precomputed import EmbeddedPassage
from rdr_qdrant.passages import Passage

COLUMNS = ("id", "title", "text", "metadata", "content_hash", "line", "truncated", "vector")


def need_pyarrow() -> None:
    """Raise an `RDRQdrantError` if pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise RDRQdrantError(
            f"Encoding into files needs pyarrow: {install_hint('parquet')}."
        ) from None


@dataclass(frozen=True, slots=True)
class ShardRow:
    """A passage of a shard.

    Attributes:
        passage: the passage, when read with its vector.
        content_hash: its content hash when it was encoded.
        line: its line in its source.
    """

    passage: Passage
    content_hash: str
    line: int


def table_of(rows: Sequence[ShardRow], vectors: Any, truncated: Sequence[bool], kind: str) -> Any:
    """Rows as a `pyarrow.Table`, which is a row group of the file.

    Args:
        rows: n passages; vectors that they carry are ignored.
        vectors: float32 [n, dim], finite also as `kind`.
        truncated: for each row, true if it was truncated.
        kind: type of the stored vectors, `float32` or `float16`.
    """
    import pyarrow as pa

    numbers = np.ascontiguousarray(vectors, dtype=kind)
    passages = [row.passage for row in rows]
    columns = {
        "id": [passage.id for passage in passages],
        "title": [passage.title for passage in passages],
        "text": [passage.text for passage in passages],
        "metadata": [
            json.dumps(dict(passage.metadata), ensure_ascii=False) for passage in passages
        ],
        "content_hash": [row.content_hash for row in rows],
        "line": [row.line for row in rows],
        "truncated": list(truncated),
        "vector": pa.FixedSizeListArray.from_arrays(
            pa.array(numbers.reshape(-1)), numbers.shape[1]
        ),
    }
    return pa.table(columns, schema=_schema(numbers.shape[1], kind))


class ShardFile:
    """A shard that is being written: a temporary file until it is finished.

    Args:
        folder: where to.
        number: of the shard.
        capacity: most records.
        is_rebuilt: it takes the place of a shard that is missing or damaged, with the same records.

    Attributes:
        rows: rows so far.
        records: records so far: rows, and those that cannot be stored.
        started: when it was begun, by the monotonic clock.
    """

    def __init__(
        self, folder: Path, number: int, capacity: int, *, is_rebuilt: bool = False
    ) -> None:
        self.capacity = capacity
        self.is_rebuilt = is_rebuilt
        self.rows = 0
        self.started = time.monotonic()
        self._path = folder / shard_name(number)
        self._part = temporary_path(self._path)
        self._truncated = 0
        self._unstorable: list[int] = []
        self._content = hashlib.sha256()
        self._open: tuple[Any, Any] | None = None

    @property
    def records(self) -> int:
        """Records so far: rows, and those that cannot be stored."""
        return self.rows + len(self._unstorable)

    def append(
        self, table: Any, *, truncated: int, content: Iterable[bytes], unstorable: Iterable[int]
    ) -> None:
        """Write a `pyarrow.Table` as a row group.

        Args:
            table: see `table_of`.
            truncated: rows that were truncated.
            content: for each record, its content for the digest of the shard.
            unstorable: positions of those of these records that are no rows.

        Raises:
            OutputError: it cannot be written.
        """
        with translate_write_errors(self._path):
            self._writer(table.schema).write_table(table)
        for one in content:
            self._content.update(one)
        first = self.records
        self.rows += len(table)
        self._unstorable += [first + position for position in unstorable]
        self._truncated += truncated

    def finish(self) -> ShardEntry:
        """Put the file in its place, whole.

        Raises:
            OutputError: it cannot be written; the temporary file is removed.
        """
        try:
            with translate_write_errors(self._path):
                self._close()
                size, digest = self._part.stat().st_size, sha256_of(self._part)
            replace_atomically(self._part, self._path)
        except BaseException:
            self.discard()
            raise
        return ShardEntry(
            self._path.name,
            self.rows,
            size,
            digest,
            self._content.hexdigest(),
            self._truncated,
            tuple(self._unstorable),
        )

    def discard(self) -> None:
        """Remove the temporary file."""
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _writer(self, schema: Any) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._open is None:
            file = pa.OSFile(str(self._part), "wb")
            texts = [name for name in COLUMNS if name != "vector"]
            writer = pq.ParquetWriter(
                file,
                schema,
                compression=dict.fromkeys(texts, "zstd"),
                use_dictionary=False,
                write_statistics=False,
            )
            self._open = (file, writer)
        return self._open[1]

    def _close(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            file, writer = opened
            try:
                writer.close()
            finally:
                file.close()


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(folder: Path, shard: ShardEntry) -> bool:
    """True if the file of a shard has the bytes that were written."""
    path = folder / shard.file
    try:
        return path.stat().st_size == shard.bytes and sha256_of(path) == shard.sha256
    except OSError:
        return False


def check_shard(path: Path, shard: ShardEntry) -> None:
    """Compare a file's bytes with those that the manifest lists.

    Raises:
        SourceError: they differ, or the file is missing.
    """
    again = (
        "Copy it again, or run the encode command again where it was made, to rebuild this shard."
    )
    try:
        size = path.stat().st_size
        if size != shard.bytes:
            raise SourceError(
                f"{path} has {size:,} bytes, but {shard.bytes:,} were written. {again}"
            )
        found = sha256_of(path)
    except OSError as error:
        raise SourceError(f"Cannot read {path}: {error.strerror}. {again}") from None
    if found != shard.sha256:
        raise SourceError(
            f"{path} is damaged: its SHA-256 is {found[:12]}..., but {shard.sha256[:12]}... was "
            f"written. Nothing of it is loaded. {again}"
        )


def read_rows(
    path: Path, dimension: int, vectors: str, first: int, stop: int
) -> Iterator[ShardRow]:
    """The rows of a shard from `first` (0-based) to before `stop`, a row group at a time.

    Raises:
        SourceError: it is not such a table.
    """
    import pyarrow.parquet as pq

    with _reading(path):
        file: Any = pq.ParquetFile(path, pre_buffer=False)
    with file:
        if not file.schema_arrow.equals(_schema(dimension, vectors)):
            raise SourceError(f"{path} has other columns than a shard of {dimension} {vectors}.")
        begin = 0
        for group in range(file.num_row_groups):
            end = begin + file.metadata.row_group(group).num_rows
            if begin < stop and end > first:
                with _reading(path):
                    table = file.read_row_group(group, use_threads=False)
                yield from _rows(table, max(first - begin, 0), min(stop, end) - begin)
            begin = end


def _rows(table: Any, first: int, stop: int) -> Iterator[ShardRow]:
    columns = [table.column(name).to_pylist() for name in COLUMNS if name != "vector"]
    chunked = table.column("vector").combine_chunks()
    flat = chunked.flatten().to_numpy(zero_copy_only=True)
    numbers = flat.reshape(len(table), -1)
    for row, values in enumerate(zip(*columns, strict=True)):
        if first <= row < stop:
            identifier, title, text, metadata, content_hash, line, truncated = values
            passage = EmbeddedPassage(
                id=identifier,
                title=title,
                text=text,
                metadata=json.loads(metadata),
                vector=numbers[row],
                truncated=truncated,
            )
            yield ShardRow(passage, content_hash, line)


def _schema(dimension: int, vectors: str) -> Any:
    import pyarrow as pa

    number = pa.float32() if vectors == "float32" else pa.float16()
    types = {
        "line": pa.int64(),
        "truncated": pa.bool_(),
        "vector": pa.list_(number, dimension),
    }
    return pa.schema([pa.field(name, types.get(name, pa.string()), False) for name in COLUMNS])


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} cannot be read as a shard: {error}.") from None
