"""Filters by metadata, as Qdrant's own."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rdr_qdrant.collection.json_path import metadata_key, metadata_paths
from rdr_qdrant.collection.point_encoding import PointId
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from qdrant_client import models

IndexTypes = Mapping[str, str]
"""Payload fields and the types of their indexes."""

_INT64 = range(-(2**63), 2**63)
_NOT_INT64 = "Qdrant compares integers of 64 bits alone"
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class UntypedValue:
    """A value from a command line, of which only the text is known."""

    text: str


@dataclass(frozen=True, slots=True)
class AllOf:
    """Values of one key that a passage must all have, as a list of tags may; a list means any."""

    values: Sequence[Any]


@dataclass(frozen=True, slots=True)
class FilterFactory:
    """Conditions with another way to make a filter of them than `metadata_filter`.

    Attributes:
        conditions: metadata keys and values.
        make: makes a filter of the conditions and the payload indexes of a collection.
    """

    conditions: Mapping[str, Any]
    make: Callable[[Mapping[str, Any], IndexTypes], models.Filter]


def indexed_fields(info: models.CollectionInfo) -> dict[str, str]:
    """Return the payload fields that are indexed, and the types; an empty index is left out."""
    schema = info.payload_schema or {}
    return {field: index.data_type.value for field, index in schema.items() if index.points}


def metadata_filter(
    conditions: Mapping[str, Any], indexes: IndexTypes | None = None
) -> models.Filter:
    """Make a filter for points whose metadata have all these values.

    A list of values means any of them, `AllOf` all of them. A key with a dot is a column of that
    name or a path into nested metadata; see `json_path.metadata_paths`. Text is cast to the type of
    the field's payload index (`"2001"` to 2001 for an integer index), since an index finds only
    values of its own type.

    Args:
        conditions: metadata keys and values.
        indexes: payload indexes of the collection; none by default.

    Raises:
        UsageError: a value is not a string, a number, true or false, or a list of those; or a key
            cannot be written as a path.
    """
    from qdrant_client import models

    for key in conditions:
        if not isinstance(key, str):
            raise UsageError(f"The filter has the key {key!r}: a metadata key is a string.")
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
    if isinstance(conditions, FilterFactory):
        return conditions.make(conditions.conditions, indexes)
    raise UsageError(
        f"The filter is a {type(conditions).__name__}: it must be a dict of metadata or a "
        "qdrant_client.models.Filter."
    )


def condition_keys(conditions: Any) -> list[str]:
    """Return the metadata keys of a filter, a dict or Qdrant's own."""
    from qdrant_client import models

    if isinstance(conditions, models.Filter):
        single = _single_conditions(conditions)
        keys = [metadata_key(one.key) for one in single if isinstance(one, models.FieldCondition)]
        return list(dict.fromkeys(key for key in keys if key is not None))
    if isinstance(conditions, FilterFactory):
        conditions = conditions.conditions
    return list(conditions) if isinstance(conditions, Mapping) else []


def condition_count(conditions: models.Filter | None) -> int:
    """Return the number of conditions of a filter, those of nested filters included."""
    return sum(1 for _ in _single_conditions(conditions))


def _single_conditions(condition: Any) -> Iterator[Any]:
    from qdrant_client import models

    if isinstance(condition, models.Filter):
        min_should = condition.min_should.conditions if condition.min_should else None
        for clause in (condition.must, condition.should, condition.must_not, min_should):
            for one in clause if isinstance(clause, list) else [clause]:
                yield from _single_conditions(one)
    elif condition is not None:
        yield condition


def has_value(path: str) -> models.Filter:
    """Make a filter for points that have a value at this payload path."""
    from qdrant_client import models

    is_empty = models.IsEmptyCondition(is_empty=models.PayloadField(key=path))
    return models.Filter(must_not=[is_empty])


def has_vector(name: str) -> models.Filter:
    """Make a filter for points that have a vector of this name."""
    from qdrant_client import models

    return models.Filter(must=[models.HasVectorCondition(has_vector=name)])


def with_ids(ids: Iterable[PointId], condition: models.Condition | None = None) -> models.Filter:
    """Make a filter for these points, or those of them that meet a condition."""
    from qdrant_client import models

    has_id = models.HasIdCondition(has_id=list(ids))
    return models.Filter(must=[has_id] if condition is None else [has_id, condition])


def no_results_message(conditions: Any, unknown: Sequence[str], known: Sequence[str]) -> str | None:
    """Describe why a filter may find nothing; `None` where nothing is conspicuous.

    Args:
        conditions: see `QueryOptions.filter`.
        unknown: metadata keys of the filter that no passage has.
        known: metadata keys of some passages.
    """
    sentences = []
    if unknown and known:
        shown = ", ".join(key if key.isprintable() else repr(key) for key in known)
        unknown_keys = ", ".join(map(repr, unknown))
        sentences.append(f"No passage has the metadata {unknown_keys}. There are: {shown}.")
    for value in _flat_values(conditions):
        text = value.text if isinstance(value, UntypedValue) else ""
        if _INTEGER.fullmatch(text) and _parse(text, "integer") is None:
            sentences.append(f"{_shortened(text)} was compared as text, since {_NOT_INT64}.")
    return " ".join(sentences) or None


def _flat_values(conditions: Any) -> Iterator[Any]:
    for value in conditions.values() if isinstance(conditions, Mapping) else ():
        yield from value.values if isinstance(value, AllOf) else [value]


def _condition(key: str, value: Any, indexes: IndexTypes) -> models.Filter | models.FieldCondition:
    from qdrant_client import models

    if isinstance(value, AllOf):
        return models.Filter(must=[_condition(key, one, indexes) for one in value.values])
    if isinstance(value, list | tuple) and value:
        return models.Filter(should=[_condition(key, one, indexes) for one in value])
    paths = metadata_paths(key)
    paths = [path for path in paths if path in indexes] or paths  # the other has no values
    conditions: list[Any] = [
        _equal(path, one, indexes.get(path))
        for path in paths
        for one in _interpretations(value, indexes.get(path))
    ]
    return conditions[0] if len(conditions) == 1 else models.Filter(should=conditions)


def _equal(field: str, value: Any, kind: str | None) -> models.FieldCondition:
    from qdrant_client import models

    problem = _value_problem(value)
    if problem:
        key = metadata_key(field)
        raise UsageError(f"The filter wants {key!r} to be {_shortened(value)}: {problem}.")
    if isinstance(value, datetime):
        moment = models.DatetimeRange(gte=value, lte=value)
        return models.FieldCondition(key=field, range=moment)
    if isinstance(value, float) or (type(value) is int and kind == "float"):
        return models.FieldCondition(key=field, range=models.Range(gte=value, lte=value))
    return models.FieldCondition(key=field, match=models.MatchValue(value=value))


def _value_problem(value: Any) -> str | None:
    """Return why Qdrant cannot compare with this value, or `None` where it can."""
    match value:
        case str():
            return None if _is_unicode(value) else "it is not valid Unicode"
        case int():
            return None if value in _INT64 else f"{_NOT_INT64}; store longer ones as text"
        case float():  # sent as null, NaN and infinity would match every number
            return None if math.isfinite(value) else "no stored number is equal to it"
        case datetime():
            return None
    return (
        "a value must be a string, a number, true or false, or a list of those; for other "
        "conditions give Qdrant's own models.Filter"
    )


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
    number = _parse(text, "integer" if _INTEGER.fullmatch(text) else "float")
    others = (_parse(text, "bool"), number)
    return [text, *[other for other in others if other is not None]]


def _parse(text: str, kind: str | None) -> Any:
    """Parse text as a value of an index type; returns `None` where it is not one."""
    try:
        match kind:
            case "keyword" | "uuid":
                return text
            case "bool":
                return {"true": True, "false": False}.get(text)
            case "integer" if _INTEGER.fullmatch(text):
                return int(text) if int(text) in _INT64 else None
            case "float" if _FLOAT.fullmatch(text):
                return float(text) if math.isfinite(float(text)) else None
            case "datetime":
                return datetime.fromisoformat(text)
    except ValueError:
        pass
    return None


def _shortened(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 256:  # repr may refuse so many digits
        return f"an integer of {value.bit_length()} bits"
    return " ".join(repr(value).split())[:80]


def _is_unicode(text: str) -> bool:
    """Return whether text has a UTF-8 encoding: a lone surrogate has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
