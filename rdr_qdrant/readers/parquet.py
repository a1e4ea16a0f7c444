"""Parquet, read in batches of rows (extra `parquet`)."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from rdr_qdrant.errors import SourceError, install_hint
from rdr_qdrant.readers.base import RowFileSource
from rdr_qdrant.readers.file_io import open_bytes
from rdr_qdrant.readers.rejects import Reject, RejectHandler
from rdr_qdrant.readers.row_parser import RowError

BATCH_ROWS = 1024


class ParquetSource(RowFileSource):
    """A Parquet file.

    Raises:
        SourceError: pyarrow is not installed, the file is damaged, it has no column `text`, or
            it names a column twice.
    """

    def __init__(self, path: Path, size: int, name: str) -> None:
        super().__init__(path, size, name)
        self._file = _open_parquet(path)

    def rows(self, reject: RejectHandler) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield number (from 1) and columns, as JSON values, of each row."""
        import pyarrow as pa

        number = 0
        try:
            for batch in self._file.iter_batches(batch_size=BATCH_ROWS):
                names = batch.schema.names
                columns = [_column_values(column) for column in batch.columns]
                for values in zip(*columns, strict=True):
                    number += 1
                    error = next((v for v in values if isinstance(v, RowError)), None)
                    if error:
                        reject(Reject(self.name, number, str(error), None))
                        continue
                    yield number, dict(zip(names, map(_to_json, values), strict=True))
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise SourceError(f"{self.path} is damaged after row {number}: {error}.") from None

    def fraction_read(self) -> float | None:
        """Return the fraction of rows read so far."""
        rows = self._file.metadata.num_rows
        return self.records_read / rows if rows else 1.0


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


def _column_values(column: Any) -> list[Any]:
    """Convert a column to Python values, one by one if some have no Python equivalent."""
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        return [_scalar_value(scalar) for scalar in column]
    return values


def _scalar_value(scalar: Any) -> Any:
    """Return the value, its text if Python has no equivalent, or a `RowError` to reject its row."""
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
