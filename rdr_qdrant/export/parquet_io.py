"""One shard as a Parquet file (extra `parquet`): its columns, written and read in row groups."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from rdr_qdrant.errors import ModelError, RDRQdrantError, SourceError, install_hint
from rdr_qdrant.export.export_io import part_of, put_in_place, sha256_of, writing
from rdr_qdrant.export.manifest import Shard, shard_name
from rdr_qdrant.export.partial_file import UnfinishedShard
from rdr_qdrant.export.precomputed import StoredPassage
from rdr_qdrant.passages import Passage

COLUMNS = ("id", "title", "text", "metadata", "content_hash", "line", "truncated", "vector")


def need_pyarrow() -> None:
    """Refuse early where it is not installed.

    Raises:
        RDRQdrantError: it is not.
    """
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
        passage: with its vector.
        content_hash: as it was when it was encoded.
        line: where it stands in its source.
    """

    passage: Passage
    content_hash: str
    line: int


def table_of(rows: Sequence[ShardRow], vectors: Any, truncated: Sequence[bool], kind: str) -> Any:
    """Rows as a `pyarrow.Table`, which is a row group of the file.

    Args:
        rows: passages with what is known of them; their own vectors are not looked at.
        vectors: float32 [n, dim].
        truncated: for each of them whether it was cut.
        kind: `float32` or `float16`, the vectors of the table.

    Raises:
        ModelError: a number is beyond a half float.
    """
    import pyarrow as pa

    numbers = np.ascontiguousarray(vectors, dtype=kind)
    if not np.isfinite(numbers).all():
        raise ModelError(
            "A vector has a number beyond 65,504, which float16 cannot hold: "
            "encode into another folder without --float16."
        )
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


def write_shard(folder: Path, shard: UnfinishedShard, content: str) -> Shard:
    """Make the Parquet file of an unfinished shard; it is in its place, whole, on return.

    Args:
        folder: where to.
        shard: all of it.
        content: digest of its passages.

    Raises:
        OutputError: it cannot be written.
    """
    path = folder / shard_name(shard.number)
    part = part_of(path)
    try:
        with writing(path):
            _write_tables(part, shard.tables())
            size, digest = part.stat().st_size, sha256_of(part)
        put_in_place(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return Shard(path.name, shard.rows, size, digest, content, shard.truncated)


def _write_tables(part: Path, tables: Iterator[Any]) -> None:
    """Each a row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = next(tables)
    strings = [name for name in COLUMNS if name != "vector"]
    with (
        pa.OSFile(str(part), "wb") as file,
        pq.ParquetWriter(
            file,
            first.schema,
            compression=dict.fromkeys(strings, "zstd"),
            use_dictionary=False,
            write_statistics=False,
        ) as writer,
    ):
        for table in chain([first], tables):
            writer.write_table(table)


def check_shard(path: Path, shard: Shard) -> None:
    """Compare a file's bytes with what the manifest says of them.

    Raises:
        SourceError: they are others, or the file is not there.
    """
    again = (
        "Copy it again, or give the encode command again where it was made: it makes this shard "
        "anew."
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
            passage = StoredPassage(
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
