"""JSON paths of metadata keys in Qdrant's filters and payload indexes."""

from __future__ import annotations

import re

from rdr_qdrant.collection.payload import METADATA_KEY
from rdr_qdrant.errors import UsageError

_BARE = r"[\w-]+"
_KEY = rf'(?:{_BARE}|"[^"\\]*")'
_PATH = re.compile(rf"{_KEY}(?:\[\d*\])*(?:\.{_KEY}(?:\[\d*\])*)*")
_PREFIX = f"{METADATA_KEY}."


def metadata_paths(key: str) -> list[str]:
    """Return the payload paths that a metadata key may mean.

    A key with a dot or brackets may be the name of a column (`author.name`, `tags[]`) as well as a
    path into nested metadata, so that it has two paths, the column's first. A key that is in quotes
    (`"author.name"`), or has a part in quotes, is taken as Qdrant's own path.

    Raises:
        UsageError: the key cannot be written as a path: it holds a double quote or a backslash.
    """
    if re.fullmatch(_BARE, key):
        return [_PREFIX + key]
    is_path = _PATH.fullmatch(key) is not None
    if '"' in key or "\\" in key:
        if not is_path:
            raise UsageError(
                f"Qdrant can neither filter by nor index the metadata key {key!r}, since it holds "
                "a double quote or a backslash. Rename the column."
            )
        return [_PREFIX + key]
    column = f'{_PREFIX}"{key}"'
    return [column, _PREFIX + key] if is_path else [column]


def metadata_key(path: str) -> str | None:
    """Return the metadata key that a payload path belongs to; `None` where it is not metadata."""
    if not path.startswith(_PREFIX):
        return None
    key = path.removeprefix(_PREFIX)
    quoted = re.fullmatch(r'"([^"\\]*)"', key)
    return quoted[1] if quoted else key
