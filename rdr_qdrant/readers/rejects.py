"""Rejected rows and documents: counted by reason, and written to a file on request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from rdr_qdrant.errors import SourceError

MAX_DETAILS = 120
"""Characters of a reason after its colon that the summary shows."""
MAX_DOCUMENTS_LISTED = 20
"""Documents that a summary lists one by one."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row or document that cannot be used.

    Attributes:
        source: name of its file, as the user gave it; in a folder, name of the document.
        line: 1-based line on which it ends (Parquet: the row's number); 0 for a whole document.
        reason: the reason in words; details follow a colon.
        row: the row as far as it could be read; `None` for a document.
    """

    source: str
    line: int
    reason: str
    row: Any


RejectHandler = Callable[[Reject], None]


class RejectLog:
    """A `RejectHandler` that counts rejects and writes them to a file as JSON Lines.

    A line has the keys `source`, `line`, `reason` and `row`.

    Args:
        path: file to write; by default none.
        strict: raise at the first reject.

    Attributes:
        counts: rejects by reason, without the details after a colon.
    """

    def __init__(self, path: Path | None = None, *, strict: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self._first_locations: dict[str, str] = {}
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
                raise self._write_error(error) from None
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file:
            try:
                self._file.close()
            except OSError as close_error:
                if error is None:
                    raise self._write_error(close_error) from None

    def __call__(self, reject: Reject) -> None:
        """Count and write one reject.

        Raises:
            SourceError: the file cannot be written, or the log is strict.
        """
        reason, colon, details = reject.reason.partition(":")
        location = f"{reject.source}, line {reject.line}" if reject.line else reject.source
        self.counts[reason] += 1
        if reject.line:
            self._first_locations.setdefault(reason, f"{location}{colon}{details[:MAX_DETAILS]}")
        else:
            self._document_count += 1
            if len(self._documents) < MAX_DOCUMENTS_LISTED:
                self._documents.append(f"{location}: {reject.reason}")
        self._write(reject)
        if self._strict:
            raise SourceError(
                f"Stopped at the first reject (--strict): {location}: {reject.reason}."
            )

    def _write(self, reject: Reject) -> None:
        if not self._file:
            return
        entry = {
            "source": reject.source,
            "line": reject.line,
            "reason": reject.reason,
            "row": reject.row,
        }
        try:
            line = json.dumps(entry, default=str, allow_nan=False)
        except (ValueError, RecursionError):  # infinity, or nested too deep
            line = json.dumps(entry | {"row": _repr_or_none(reject.row)})
        try:
            self._file.write(line + "\n")
        except OSError as error:
            raise self._write_error(error) from None

    def _write_error(self, error: OSError) -> SourceError:
        return SourceError(f"Cannot write {self._path}: {error.strerror}.")

    @property
    def total(self) -> int:
        """Number of rejects."""
        return self.counts.total()

    def summary(self) -> list[str]:
        """Return one line per rejected document, then one per reason, most frequent first."""
        lines = list(self._documents)
        if more := self._document_count - len(lines):
            see = f"see {self._path}" if self._path else "--rejects FILE lists them"
            lines.append(f"{more:,} more documents ({see})")
        for reason, count in self.counts.most_common():
            if reason in self._first_locations:
                lines.append(f"{count:,} x {reason} (first: {self._first_locations[reason]})")
        return lines


def _repr_or_none(row: object) -> str | None:
    """Return the row's `repr`, or `None` if it is nested too deep even for that."""
    try:
        return repr(row)
    except RecursionError:
        return None
