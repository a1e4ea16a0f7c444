"""One row of any format, checked and made a passage."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rdr_qdrant.passages import Passage, id_from_content


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was set aside.

    Attributes:
        source: the file it came from, as it was given.
        line: 1-based line (in Parquet: row) at which it ends; 0 for a document as a whole.
        reason: why, in words.
        row: the row as far as it could be read; `None` for a document.
    """

    source: str
    line: int
    reason: str
    row: Any


MAX_DEPTH = 100
"""Levels of lists and objects in one row. Qdrant's JSON parser (serde_json) refuses a request of
more than 128, those of the request itself included."""

RejectHandler = Callable[[Reject], None]


class RowError(Exception):
    """This row cannot be used; the message is the reason."""


def passage_from_row(row: Mapping[str, Any], source: str) -> Passage:
    """A passage from the columns `id`, `text`, `title`; every other column is metadata.

    `source` is kept in the metadata, where the row has no column of that name. A row without an
    id gets one from its content.

    Raises:
        RowError: no text, an id that is no string or whole number, or what is not Unicode.
    """
    text = row.get("text")
    if text is None:
        raise RowError("no text")
    if not isinstance(text, str):
        raise RowError(f"text is {_kind(text)}, not a string")
    if not text.strip():
        raise RowError("text is empty")
    title = row.get("title")
    if title is None:
        title = ""
    if not isinstance(title, str):
        raise RowError(f"title is {_kind(title)}, not a string")
    metadata = {"source": source.encode("utf-8", "replace").decode("utf-8")}
    metadata.update((k, v) for k, v in row.items() if k not in ("id", "text", "title"))
    check_json(row)
    return Passage(
        id=_identifier(row.get("id")) or id_from_content(title, text),
        text=text,
        title=title,
        metadata=metadata,
    )


def _identifier(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise RowError(f"id is {_kind(value)}, not a string or a whole number")


def check_json(value: Any, depth: int = 0) -> None:
    """Refuse what cannot be stored as JSON in Qdrant, at any depth.

    Raises:
        RowError: a lone surrogate (undecodable bytes, PEP 383; half an escape of JSON), a number
            that JSON has not or beyond a double's range, or more than `MAX_DEPTH` levels.
    """
    if depth > MAX_DEPTH:
        raise RowError("nested too deep")
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise RowError("not valid UTF-8") from None
    elif isinstance(value, Mapping):
        for key, item in value.items():
            check_json(key, depth + 1)
            check_json(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check_json(item, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise RowError(f"{value} is not a number that JSON has")
    elif isinstance(value, int):
        try:
            float(value)
        except OverflowError:
            raise RowError("a number too large to be stored") from None


def _kind(value: Any) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)
