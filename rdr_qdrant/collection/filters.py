"""Conditions on metadata as people write them, in Qdrant's terms."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rdr_qdrant.collection.payload import METADATA_KEY
from rdr_qdrant.collection.qdrant_params import indexed_fields
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from qdrant_client import models

IndexTypes = Mapping[str, str]
"""Payload fields that are indexed, and the types of their indexes."""

FilterMaker = Callable[[IndexTypes], "models.Filter"]
"""Makes a filter for a collection with these indexes."""

SECONDS_INDEXES_HOLD = 60.0
"""How long a collection is taken to have the indexes that it was seen to have. They may be made at
any time, and an alias may come to stand for another collection."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A value that somebody typed, who could not say of which type it is."""

    text: str


class KnownIndexes:
    """The payload indexes that a collection was last seen to have."""

    def __init__(self) -> None:
        self.types: IndexTypes = {}
        self._until = -math.inf

    def note(self, info: models.CollectionInfo) -> None:
        """See them. One that holds nothing is none: its type fits no value there is."""
        self.types = indexed_fields(info)
        self._until = time.monotonic() + SECONDS_INDEXES_HOLD

    def outdated_for(self, given: Any) -> bool:
        """Whether they are to be looked at again before this filter is made."""
        from qdrant_client import models

        depends = given is not None and not isinstance(given, models.Filter)
        return depends and time.monotonic() > self._until


def metadata_filter(
    conditions: Mapping[str, Any], indexes: IndexTypes | None = None
) -> models.Filter:
    """A filter that holds where every named metadata field has its value.

    A list of values means any of them. A dot in a name goes one level down, as in Qdrant. Where a
    field is indexed, text is read as the index's type (`"2001"` is 2001 for an integer index),
    since an index finds nothing else.

    Args:
        conditions: names and values.
        indexes: what is indexed in the collection; nothing unless said.

    Raises:
        UsageError: a value that is not a string, a number, true or false, or a list of those.
    """
    from qdrant_client import models

    indexes = indexes or {}
    return models.Filter(
        must=[_condition(key, value, indexes) for key, value in conditions.items()]
    )


def as_filter(given: Any, indexes: IndexTypes) -> models.Filter | None:
    """Conditions as a caller may give them: a dict of metadata, Qdrant's own, or none.

    Raises:
        UsageError: something else.
    """
    from qdrant_client import models

    if isinstance(given, Mapping):
        return metadata_filter(given, indexes)
    if given is None or isinstance(given, models.Filter):
        return given
    if callable(given):
        made: models.Filter = given(indexes)
        return made
    raise UsageError(
        f"The filter is a {type(given).__name__}: it must be a dict of metadata or a "
        "qdrant_client.models.Filter."
    )


def _condition(key: str, value: Any, indexes: IndexTypes) -> models.Filter | models.FieldCondition:
    from qdrant_client import models

    if isinstance(value, list | tuple) and value:
        return models.Filter(should=[_condition(key, one, indexes) for one in value])
    kind = indexes.get(f"{METADATA_KEY}.{key}")
    readings = _readings(value, kind)
    if len(readings) == 1:
        return _equal(key, readings[0], kind)
    return models.Filter(should=[_equal(key, one, kind) for one in readings])


def _equal(key: str, value: Any, kind: str | None) -> models.FieldCondition:
    from qdrant_client import models

    field = f"{METADATA_KEY}.{key}"
    if isinstance(value, datetime):
        moment = models.DatetimeRange(gte=value, lte=value)
        return models.FieldCondition(key=field, range=moment)
    if isinstance(value, float) or (type(value) is int and kind == "float"):
        return models.FieldCondition(key=field, range=models.Range(gte=value, lte=value))
    if not isinstance(value, str | int):
        raise UsageError(
            f"The filter wants {key!r} to be {value!r}: a value must be a string, a number, true "
            "or false, or a list of those. For other conditions give Qdrant's own models.Filter."
        )
    return models.FieldCondition(key=field, match=models.MatchValue(value=value))


def _readings(value: Any, kind: str | None) -> list[Any]:
    """What a value may be: text as its field's index has it, or else all that it looks like."""
    text = value.text if isinstance(value, Typed) else value
    if not isinstance(text, str):
        return [value]
    read = _read(text, kind)
    if read is not None:
        return [read]
    if isinstance(value, str):
        return [text]
    others = (_read(text, other) for other in ("bool", "integer", "float"))
    return [text, *[other for other in others if other is not None][:1]]


def _read(text: str, kind: str | None) -> Any:
    """Text as a value of this type of index, or `None` where it is none."""
    try:
        match kind:
            case "keyword" | "uuid":
                return text
            case "bool":
                return {"true": True, "false": False}.get(text)
            case "integer":
                return int(text)
            case "float":
                number = float(text)
                return number if math.isfinite(number) else None
            case "datetime":
                return datetime.fromisoformat(text)
    except ValueError:
        pass
    return None
