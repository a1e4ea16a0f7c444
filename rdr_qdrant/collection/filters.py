"""Conditions on metadata as people write them, in Qdrant's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rdr_qdrant.collection.payload import METADATA_KEY
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from qdrant_client import models


def metadata_filter(conditions: Mapping[str, Any]) -> models.Filter:
    """A filter that holds where every named metadata field has its value.

    A list of values means any of them. A dot in a name goes one level down, as in Qdrant.

    Raises:
        UsageError: a value that is not a string, a number, true or false, or a list of those.
    """
    from qdrant_client import models

    return models.Filter(must=[_condition(key, value) for key, value in conditions.items()])


def as_filter(given: Any) -> models.Filter | None:
    """Conditions as a caller may give them: a dict of metadata, Qdrant's own, or none.

    Raises:
        UsageError: something else.
    """
    from qdrant_client import models

    if isinstance(given, Mapping):
        return metadata_filter(given)
    if given is None or isinstance(given, models.Filter):
        return given
    raise UsageError(
        f"The filter is a {type(given).__name__}: it must be a dict of metadata or a "
        "qdrant_client.models.Filter."
    )


def _condition(key: str, value: Any) -> models.Filter | models.FieldCondition:
    from qdrant_client import models

    if isinstance(value, list | tuple) and value:
        return models.Filter(should=[_condition(key, item) for item in value])
    field = f"{METADATA_KEY}.{key}"
    if isinstance(value, float):
        return models.FieldCondition(key=field, range=models.Range(gte=value, lte=value))
    if not isinstance(value, str | int):
        raise UsageError(
            f"The filter wants {key!r} to be {value!r}: a value must be a string, a number, true "
            "or false, or a list of those. For other conditions give Qdrant's own models.Filter."
        )
    return models.FieldCondition(key=field, match=models.MatchValue(value=value))
