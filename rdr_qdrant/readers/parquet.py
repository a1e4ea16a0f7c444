"""Parquet, read in small batches of rows (extra `parquet`)."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from rdr_qdrant.errors import SourceError, install_hint
from rdr_qdrant.readers.base import RowFileSource
from rdr_qdrant.readers.file_io import FileState, open_bytes
from rdr_qdrant.readers.rejects import Reject, RejectHandler
from rdr_qdrant.readers.row_parser import RowError

MAX_ROW_BYTES = 16 * 2**20
"""Largest row, decoded; as large as the longest row of TSV and CSV."""
MAX_BATCH_ROWS = 16
BATCH_BYTES = 2**20
"""Bytes of a batch on average."""
MAX_COMPRESSION_RATIO = 10
"""Ratio above which a row group is read row by row; text compresses to a fifth at best."""
MAX_LIST_VALUES = 2**24
"""Values of a list column in a row group that are read however well they are compressed."""
MAX_VALUES_PER_BYTE = 100
"""Most values per stored byte of a list column with more than `MAX_LIST_VALUES` values."""


class ParquetSource(RowFileSource):
    """A Parquet file.

    Raises:
        SourceError: pyarrow is not installed, the file is damaged, it has no column `text`, it
            names a column twice, or a column holds bytes that are not UTF-8.
    """

    def __init__(self, path: Path, state: FileState, name: str) -> None:
        super().__init__(path, state, name)
        self._file = _open_parquet(path)
        self._check_columns()

    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield number (from 1) and columns, as JSON values, of each row."""
        import pyarrow as pa

        number = 0
        try:
            for batch in self._batches():
                oversized = _decoded_bytes(batch) > MAX_ROW_BYTES
                for index in range(batch.num_rows):
                    number += 1
                    try:
                        if oversized and _decoded_bytes(batch.slice(index, 1)) > MAX_ROW_BYTES:
                            raise RowError(f"a row of more than {MAX_ROW_BYTES:,} bytes")
                        row = _row(batch, index)
                    except RowError as error:
                        reject(Reject(self.name, number, str(error), None))
                    else:
                        yield number, row
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise SourceError(f"{self.path} is damaged after row {number}: {error}.") from None

    def fraction_read(self) -> float | None:
        """Return the fraction of rows read so far."""
        rows = self._file.metadata.num_rows
        return self.records_read / rows if rows else 1.0

    def _batches(self, columns: list[str] | None = None) -> Iterator[Any]:
        """Yield record batches of few rows each, fewer where rows may be large."""
        for group in range(self._file.metadata.num_row_groups):
            size = _batch_rows(self.path, self._file.metadata.row_group(group))
            yield from self._file.iter_batches(size, row_groups=[group], columns=columns)

    def _check_columns(self) -> None:
        """Refuse a column of bytes whose first values are not UTF-8, such as images."""
        import pyarrow as pa

        columns = [field.name for field in self._file.schema_arrow if _holds_bytes(field.type)]
        if not columns:
            return
        try:
            batch = next(self._batches(columns), None)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise SourceError(f"{self.path} is damaged: {error}.") from None
        if batch is None or _decoded_bytes(batch) > MAX_ROW_BYTES:
            return
        for column, name in zip(batch.columns, batch.schema.names, strict=True):
            try:
                values = [value for value in column.to_pylist() if value is not None]
            except (ValueError, OverflowError):  # rejected row by row
                continue
            if values and not any(map(_is_utf8, values)):
                raise SourceError(
                    f"{self.path} has a binary column {name!r} ({column.type}) that is not text, "
                    "which a payload cannot hold. Remove it from the file, or encode it as text."
                )


def _open_parquet(path: Path) -> Any:
    """Open a `pyarrow.parquet.ParquetFile`; see `ParquetSource`."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise SourceError(f"Reading {path} needs pyarrow: {install_hint('parquet')}.") from None
    try:
        file = pq.ParquetFile(
            _decompress(path) if path.suffix.lower() == ".gz" else path,
            pre_buffer=False,  # True keeps all row groups read so far in memory
        )
        names = file.schema_arrow.names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is not a Parquet file or is damaged: {error}.") from None
    if "text" not in names:
        raise SourceError(f"{path} has no column 'text' (found: {', '.join(names)}).")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SourceError(
            f"{path} names a column twice: {', '.join(map(repr, repeated))}. Rename one."
        )
    return file


def _decompress(path: Path) -> IO[bytes]:
    """Decompress `.parquet.gz` to a temporary file, since reading begins at a file's end."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (deleted with its last reader)
    with open_bytes(path) as stream:
        shutil.copyfileobj(stream, file)
    file.seek(0)
    return file


def _batch_rows(path: Path, group: Any) -> int:
    """Choose the rows of a batch by the metadata of its row group.

    A dictionary or a run stores a value once for many rows, so the stored size does not bound the
    decoded one. Where it looks as if a large value were repeated, rows are read one by one.

    Raises:
        SourceError: a list column unpacks to more values than any corpus would have.
    """
    decoded, stored = 1, 1
    large_dictionary = False
    for column in map(group.column, range(group.num_columns)):
        stored_bytes, values = column.total_compressed_size, column.num_values
        decoded += column.total_uncompressed_size
        stored += stored_bytes
        if column.has_dictionary_page:
            dictionary_bytes = column.data_page_offset - column.dictionary_page_offset
            large_dictionary |= dictionary_bytes > BATCH_BYTES
        is_list = values > group.num_rows
        if is_list and values > max(MAX_LIST_VALUES, MAX_VALUES_PER_BYTE * stored_bytes):
            raise SourceError(
                f"{path} cannot be read: {stored_bytes:,} bytes of its column "
                f"{column.path_in_schema!r} unpack to {values:,} values."
            )
    if large_dictionary or decoded > MAX_COMPRESSION_RATIO * stored:
        return 1
    return max(1, min(MAX_BATCH_ROWS, BATCH_BYTES * int(group.num_rows) // decoded))


def _decoded_bytes(data: Any) -> int:
    """Return the bytes of an array's or batch's values without sharing by dictionaries."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(data, pa.RecordBatch):
        return sum(map(_decoded_bytes, data.columns))
    if isinstance(data, pa.ExtensionArray):
        return _decoded_bytes(data.storage)
    if isinstance(data, pa.DictionaryArray):
        lengths = _value_bytes(data.dictionary)
        return int(pc.sum(lengths.take(data.indices)).as_py() or 0)
    if isinstance(data, pa.StructArray):
        return sum(map(_decoded_bytes, data.flatten()))
    if isinstance(data, pa.MapArray):
        begin, end = data.offsets[0].as_py(), data.offsets[-1].as_py()
        children = (data.keys.slice(begin, end - begin), data.items.slice(begin, end - begin))
        return sum(map(_decoded_bytes, children))
    if isinstance(data, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return _decoded_bytes(data.flatten())
    size: int = data.nbytes
    return size


def _value_bytes(array: Any) -> Any:
    """Return an array of the bytes of each value of a dictionary."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type):
        return pc.binary_length(array)
    if pa.types.is_string(array.type) or pa.types.is_binary(array.type):
        return pc.cast(pc.binary_length(array), pa.int64())
    return pa.array([_decoded_bytes(array.slice(i, 1)) for i in range(len(array))], pa.int64())


def _holds_bytes(kind: Any) -> bool:
    """Return whether a type is binary or contains a binary one."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        return _holds_bytes(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    if pa.types.is_nested(kind):
        return any(_holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _is_utf8(value: Any) -> bool:
    """Return whether all bytes in a value are UTF-8."""
    if isinstance(value, bytes):
        try:
            value.decode()
        except UnicodeDecodeError:
            return False
    elif isinstance(value, dict):
        return all(map(_is_utf8, value.values()))
    elif isinstance(value, list | tuple):
        return all(map(_is_utf8, value))
    return True


def _row(batch: Any, index: int) -> dict[str, Any]:
    """Return the columns of a row as JSON values.

    Raises:
        RowError: a value has no JSON equivalent.
    """
    row = {}
    for column, name in zip(batch.columns, batch.schema.names, strict=True):
        try:
            row[name] = _to_json(_scalar_value(column[index]))
        except RowError as error:
            raise RowError(f"{error}: column {name!r}") from None
    return row


def _scalar_value(scalar: Any) -> Any:
    """Return the value, or its text if Python has no equivalent.

    Raises:
        RowError: it has no text either.
    """
    import pyarrow as pa

    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        raise RowError("not valid UTF-8") from None
    except (ValueError, OverflowError):
        try:
            return scalar.cast(pa.string()).as_py()
        except pa.ArrowException:
            raise RowError(f"a value of type {scalar.type} that cannot be read") from None


def _to_json(value: Any) -> Any:
    """Convert what JSON lacks: NaN to null (missing); dates, decimals and others to text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(value)
