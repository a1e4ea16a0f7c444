"""Parquet files, a batch of rows at a time (extra `parquet`)."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers.files import open_bytes

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
        raise SourceError(
            f"Reading {path} needs pyarrow: pip install 'rdr-qdrant[parquet]'."
        ) from None
    try:
        file = pq.ParquetFile(_unpacked(path) if path.suffix.lower() == ".gz" else path)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} is not a Parquet file or is damaged: {error}.") from None
    if "text" not in file.schema_arrow.names:
        names = ", ".join(file.schema_arrow.names)
        raise SourceError(f"{path} has no column 'text' (found: {names}).")
    return file


def _unpacked(path: Path) -> IO[bytes]:
    """A Parquet file is read from its end, so one inside `.gz` is unpacked to a temporary file."""
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 (goes with its last reader)
    with open_bytes(path) as stream:
        shutil.copyfileobj(stream, unpacked)
    unpacked.seek(0)
    return unpacked


def read_rows(path: Path, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Row number (from 1) and columns of every row, as JSON values."""
    import pyarrow as pa

    number = 0
    try:
        for batch in file.iter_batches(batch_size=ROWS_AT_A_TIME):
            for row in batch.to_pylist():
                number += 1
                yield number, {name: _json_value(value) for name, value in row.items()}
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} is damaged after row {number}: {error}.") from None


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
