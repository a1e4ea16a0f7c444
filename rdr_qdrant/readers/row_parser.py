"""Convert a row of any format to a passage, or reject it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rdr_qdrant.passages import FILE_KEY, Passage, id_from_content

NO_METADATA = frozenset(("id", "text", "title"))
MAX_DEPTH = 100
"""Levels of lists and objects in one row. Qdrant's JSON parser (serde_json) refuses a request of
more than 128, including those of the request itself."""
MAX_EXACT_FLOAT = 2**53
"""Below it every whole number is a double; above, an id read as a double may be another one."""


class RowError(Exception):
    """The row cannot be used; the message is the reason."""


def passage_from_row(row: Mapping[str, Any], source: str) -> Passage:
    """Build a passage from the columns `id`, `text` and `title`; all others become metadata.

    A row without an id has BEIR's `_id`, or else gets one from its content.

    Args:
        row: values by column.
        source: name of the file, valid Unicode: value of the metadata key `source`, or of
            `loaded_from` if the row has a column `source` of its own.

    Raises:
        RowError: the row has no text, its id is neither a string nor a whole number, or a value
            cannot be stored (see `check_json`).
    """
    text = row.get("text")
    if "text" not in row and row:
        raise RowError(f"no text: the row has {join_names([repr(one)[1:-1] for one in row])}")
    if text is None:
        raise RowError("no text")
    if not isinstance(text, str):
        raise RowError(f"text is {_type_name(text)}, not a string")
    if not text.strip():
        raise RowError("text is empty")
    title = row.get("title")
    if title is None:
        title = ""
    if not isinstance(title, str):
        raise RowError(f"title is {_type_name(title)}, not a string")
    id_column = find_id_column(row)
    metadata = {"source": source}
    for column, value in row.items():
        if column not in NO_METADATA and column != id_column:
            metadata[column] = value
        if type(value) is str and value.isascii() and column.isascii():  # nearly all
            continue
        check_json(column)
        try:
            check_json(value, depth=1)
        except RowError as error:
            raise RowError(f"{error}: column {column!r}") from None
    if metadata["source"] != source:
        metadata[FILE_KEY] = source
    return Passage(
        id=parse_id(row.get(id_column)) or id_from_content(title, text),
        text=text,
        title=title,
        metadata=metadata,
    )


def join_names(names: Sequence[str]) -> str:
    """The first of some columns' names, shortened; `nothing` if there are none."""
    shown = ", ".join(name[:40] for name in names[:8])
    return shown + (", ..." if len(names) > 8 else "") if names else "nothing"


def find_id_column(row: Mapping[str, Any]) -> str:
    """Return the column of the id: `_id` (BEIR) if it can be one and there is no `id`."""
    return "_id" if row.get("id") is None and isinstance(row.get("_id"), str | int) else "id"


def parse_id(value: Any) -> str:
    """Return the id as a string, `""` if there is none.

    A whole number as a float is accepted: pandas makes floats of integers with gaps.

    Raises:
        RowError: neither a string nor a whole number.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        if abs(value) > MAX_EXACT_FLOAT:
            raise RowError("id is a float too large to be exact: store ids as integers or strings")
        return str(int(value))
    raise RowError(f"id is {_type_name(value)}, not a string or a whole number")


def check_json(value: Any, depth: int = 0) -> None:
    """Check that a value can be stored in Qdrant as JSON.

    Args:
        value: a JSON value.
        depth: levels of lists and objects around it.

    Raises:
        RowError: it holds a lone surrogate (an undecodable byte, PEP 383, or half of an escaped
            pair), a number that is not finite as a double, or more than `MAX_DEPTH` levels.
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
        raise RowError(f"{value} is not a JSON number")
    elif isinstance(value, int):
        try:
            float(value)
        except OverflowError:
            raise RowError("a number too large to be stored") from None


def _type_name(value: Any) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)
