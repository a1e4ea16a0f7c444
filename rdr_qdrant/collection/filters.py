"""Filters by metadata, as Qdrant's own."""

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
"""Payload fields and the types of their indexes."""

FilterFactory = Callable[[IndexTypes], "models.Filter"]
"""Makes a filter for a collection with these payload indexes."""

CACHE_SECONDS = 60.0
"""Lifetime of cached payload indexes: they may be created at any time, and an alias may be moved to
another collection."""


@dataclass(frozen=True, slots=True)
class UntypedValue:
    """A value from a command line, of which only the text is known."""

    text: str


class PayloadIndexCache:
    """Payload indexes of a collection, as last read."""

    def __init__(self) -> None:
        self.types: IndexTypes = {}
        self._until = -math.inf

    def update(self, info: models.CollectionInfo) -> None:
        """Read them. An empty index is left out: no value has its type."""
        self.types = indexed_fields(info)
        self._until = time.monotonic() + CACHE_SECONDS

    def is_stale_for(self, conditions: Any) -> bool:
        """Return whether they must be read again before a filter is made of these conditions."""
        from qdrant_client import models

        depends = conditions is not None and not isinstance(conditions, models.Filter)
        return depends and time.monotonic() > self._until


def metadata_filter(
    conditions: Mapping[str, Any], indexes: IndexTypes | None = None
) -> models.Filter:
    """Make a filter for points whose metadata have all these values.

    A list of values means any of them. A dot in a key goes one level down, as in Qdrant. Text is
    cast to the type of the field's payload index (`"2001"` to 2001 for an integer index), since
    an index finds only values of its own type.

    Args:
        conditions: metadata keys and values.
        indexes: payload indexes of the collection; none by default.

    Raises:
        UsageError: a value is not a string, a number, true or false, or a list of those.
    """
    from qdrant_client import models

    indexes = indexes or {}
    return models.Filter(
        must=[_condition(key, value, indexes) for key, value in conditions.items()]
    )


def to_qdrant_filter(conditions: Any, indexes: IndexTypes) -> models.Filter | None:
    """Make a filter of what a caller gave: a dict of metadata, Qdrant's own, or none.

    Raises:
        UsageError: it is of another type.
    """
    from qdrant_client import models

    if isinstance(conditions, Mapping):
        return metadata_filter(conditions, indexes)
    if conditions is None or isinstance(conditions, models.Filter):
        return conditions
    if callable(conditions):
        made: models.Filter = conditions(indexes)
        return made
    raise UsageError(
        f"The filter is a {type(conditions).__name__}: it must be a dict of metadata or a "
        "qdrant_client.models.Filter."
    )


def _condition(key: str, value: Any, indexes: IndexTypes) -> models.Filter | models.FieldCondition:
    from qdrant_client import models

    if isinstance(value, list | tuple) and value:
        return models.Filter(should=[_condition(key, one, indexes) for one in value])
    kind = indexes.get(f"{METADATA_KEY}.{key}")
    values = _interpretations(value, kind)
    if len(values) == 1:
        return _equal(key, values[0], kind)
    return models.Filter(should=[_equal(key, one, kind) for one in values])


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


def _interpretations(value: Any, kind: str | None) -> list[Any]:
    """Return the values that a filter value may mean: one of the index's type, or all possible."""
    text = value.text if isinstance(value, UntypedValue) else value
    if not isinstance(text, str):
        return [value]
    parsed = _parse(text, kind)
    if parsed is not None:
        return [parsed]
    if isinstance(value, str):
        return [text]
    others = (_parse(text, other) for other in ("bool", "integer", "float"))
    return [text, *[other for other in others if other is not None][:1]]


def _parse(text: str, kind: str | None) -> Any:
    """Parse text as a value of an index type; returns `None` where it is not one."""
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
