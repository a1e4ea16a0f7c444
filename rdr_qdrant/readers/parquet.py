"""Parquet files, a batch of rows at a time (extra `parquet`)."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from rdr_qdrant.errors import SourceError, install_hint
from rdr_qdrant.readers.io import open_bytes
from rdr_qdrant.readers.row_parser import Reject, RejectHandler, RowError

ROWS_AT_A_TIME = 1024


def open_parquet(path: Path) -> Any:
    """An open `pyarrow.parquet.ParquetFile` that has a column `text`.

    Raises:
        SourceError: pyarrow is not installed, the file is damaged, or the column is missing.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise SourceError(f"Reading {path} needs pyarrow: {install_hint('parquet')}.") from None
    try:
        file = pq.ParquetFile(
            _unpacked(path) if path.suffix.lower() == ".gz" else path,
            pre_buffer=False,  # True keeps every row group that was read in memory
        )
        names = file.schema_arrow.names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is not a Parquet file or is damaged: {error}.") from None
    if "text" not in names:
        raise SourceError(f"{path} has no column 'text' (found: {', '.join(names)}).")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(f"{path} names a column twice: {', '.join(map(repr, twice))}.")
    return file


def _unpacked(path: Path) -> IO[bytes]:
    """A Parquet file is read from its end, so one inside `.gz` is unpacked to a temporary file."""
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 (goes with its last reader)
    with open_bytes(path) as stream:
        shutil.copyfileobj(stream, unpacked)
    unpacked.seek(0)
    return unpacked


def read_rows(
    path: Path, name: str, file: Any, reject: RejectHandler
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Row number (from 1) and columns of every row, as JSON values; others go to `reject`."""
    import pyarrow as pa

    number = 0
    try:
        for batch in file.iter_batches(batch_size=ROWS_AT_A_TIME):
            columns = [_values(column) for column in batch.columns]
            for values in zip(*columns, strict=True):
                number += 1
                if fault := next((v for v in values if isinstance(v, RowError)), None):
                    reject(Reject(name, number, str(fault), None))
                    continue
                yield number, dict(zip(batch.schema.names, map(_json_value, values), strict=True))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is damaged after row {number}: {error}.") from None


def _values(column: Any) -> list[Any]:
    """The values of a column; one by one where Python cannot hold each of them."""
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]
    return values


def _value(scalar: Any) -> Any:
    """A value, its text where Python has no such time, or the `RowError` that its row deserves."""
    import pyarrow as pa

    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return RowError("not valid UTF-8")
    except (ValueError, OverflowError):
        try:
            return scalar.cast(pa.string()).as_py()
        except pa.ArrowException:
            return RowError(f"a value that cannot be read: {scalar.type}")


def _json_value(value: Any) -> Any:
    """What Parquet has and JSON has not: NaN means missing; dates, decimals and others as text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _json_value(item) for key, item in value.items()}
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(value)
