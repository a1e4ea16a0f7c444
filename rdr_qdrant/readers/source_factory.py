"""Open a path as the source of passages that fits its format."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rdr_qdrant.errors import SourceError, UsageError
from rdr_qdrant.readers.base import PassageSource, RowFileSource
from rdr_qdrant.readers.beir import BEIRFolder
from rdr_qdrant.readers.delimited import DelimitedSource
from rdr_qdrant.readers.documents import (
    DOCUMENT_EXTENSIONS,
    document_format,
    open_document_source,
)
from rdr_qdrant.readers.file_io import check_readable, format_suffix, is_folder
from rdr_qdrant.readers.jsonlines import STDIN, JSONLinesSource, StdinSource
from rdr_qdrant.readers.line_reader import Quoting
from rdr_qdrant.readers.parquet import ParquetSource

ROW_FORMATS: dict[str, type[RowFileSource]] = {
    ".tsv": DelimitedSource,
    ".csv": DelimitedSource,
    ".jsonl": JSONLinesSource,
    ".parquet": ParquetSource,
}
SUPPORTED_FORMATS = (
    f"{', '.join(ROW_FORMATS)} (each also .gz), or - for JSON Lines from stdin; "
    f"documents: {DOCUMENT_EXTENSIONS}, or a folder of them; a BEIR folder"
)


def open_source(
    source: str | Path, name: str | None = None, *, quoting: Quoting = "csv"
) -> PassageSource:
    """Open a file of passages by its extension, a folder of documents, or standard input.

    Of a BEIR folder the corpus is opened, as if its file had been named.

    Checks everything that can be known without reading to the end.

    Args:
        source: a path, or `-` for JSON Lines from standard input.
        name: name of a file of rows in the passages' metadata; by default its path.
        quoting: `csv`, or `none` for TSV and CSV in which quotes are plain characters.

    Raises:
        SourceError: the file does not exist or is empty, its extension is unknown, a column is
            missing, a folder holds no documents, or a package is not installed.
    """
    if str(source) == STDIN:
        if sys.stdin is None:
            raise SourceError("Standard input is closed: there is nothing to read from '-'.")
        return StdinSource(sys.stdin.buffer)
    path = Path(source)
    if is_folder(path) and str(source):  # Path("") is the current folder
        beir = BEIRFolder.find(path)
        if beir is None:
            return open_document_source(path)
        path = beir.corpus
    state = check_readable(path)
    if document_format(path.name):
        return open_document_source(path)
    try:
        source_class = ROW_FORMATS[format_suffix(path)]
    except KeyError:
        raise SourceError(
            f"{path} has an unknown extension ({path.suffix or 'none'}). "
            f"Supported: {SUPPORTED_FORMATS}."
        ) from None
    if source_class is DelimitedSource:
        return DelimitedSource(path, state, name or str(path), quoting)
    return source_class(path, state, name or str(path))


def open_sources(sources: Sequence[PassageSource | str | Path]) -> list[PassageSource]:
    """Open those that are paths; see `open_source`.

    Raises:
        UsageError: they are one path instead of a list.
    """
    if isinstance(sources, str | Path):
        raise UsageError(f"Give a list of sources, such as [{str(sources)!r}], not one path.")
    return [open_source(one) if isinstance(one, str | Path) else one for one in sources]
