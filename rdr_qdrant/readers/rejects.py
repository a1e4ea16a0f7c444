"""Rows that were set aside: counted by reason, and written down where asked."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import TextIO

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers.row_parser import Reject

DOCUMENTS_NAMED = 20
"""Documents that are named one by one in a summary."""


class RejectLog:
    """A `RejectHandler` that counts, and writes JSON Lines (`source line reason row`) to a file.

    Args:
        path: the file; by default none is written.
        strict: stop at the first row.

    Attributes:
        counts: rows by reason; what follows a colon in a reason is left out.
    """

    def __init__(self, path: Path | None = None, *, strict: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._documents: list[str] = []
        self._document_count = 0
        self._path = path
        self._strict = strict
        self._file: TextIO | None = None

    def __enter__(self) -> RejectLog:
        if self._path is not None:
            try:
                self._file = self._path.open("w", encoding="utf-8")
            except OSError as error:
                raise self._cannot_write(error) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._file:
            try:
                self._file.close()
            except OSError as failure:
                if error is None:
                    raise self._cannot_write(failure) from None

    def __call__(self, row: Reject) -> None:
        """Count and write down one row.

        Raises:
            SourceError: the file cannot be written, or the log is strict.
        """
        reason = row.reason.partition(":")[0]
        where = f"{row.source}, line {row.line}" if row.line else row.source
        self.counts[reason] += 1
        if row.line:
            self._first.setdefault(reason, where)
        else:
            self._document_count += 1
            if len(self._documents) < DOCUMENTS_NAMED:
                self._documents.append(f"{where}: {row.reason}")
        self._write(row)
        if self._strict:
            raise SourceError(
                f"Stopped at the first row that cannot be used (--strict): {where}: {row.reason}."
            )

    def _write(self, row: Reject) -> None:
        if not self._file:
            return
        entry = {"source": row.source, "line": row.line, "reason": row.reason, "row": row.row}
        try:
            line = json.dumps(entry, default=str, allow_nan=False)
        except (ValueError, RecursionError):  # inf, or nested too deep
            line = json.dumps(entry | {"row": _shown(row.row)})
        try:
            self._file.write(line + "\n")
        except OSError as error:
            raise self._cannot_write(error) from None

    def _cannot_write(self, error: OSError) -> SourceError:
        return SourceError(f"Cannot write {self._path}: {error.strerror}.")

    @property
    def total(self) -> int:
        """How many rows."""
        return self.counts.total()

    def summary(self) -> list[str]:
        """One line a document, then one line a reason of rows, the most frequent first."""
        lines = list(self._documents)
        if more := self._document_count - len(lines):
            named = f"{self._path} names them" if self._path else "--rejects FILE names them"
            lines.append(f"{more:,} more documents ({named})")
        for reason, count in self.counts.most_common():
            if reason in self._first:
                lines.append(f"{count:,} x {reason} (first: {self._first[reason]})")
        return lines


def _shown(row: object) -> str | None:
    """A row as Python writes it, or `None` where even that is nested too deep."""
    try:
        return repr(row)
    except RecursionError:
        return None
