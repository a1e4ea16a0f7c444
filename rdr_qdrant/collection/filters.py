"""Conditions on metadata as people write them, in Qdrant's terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rdr_qdrant.collection.payload import METADATA_KEY

if TYPE_CHECKING:
    from qdrant_client import models


def metadata_filter(conditions: Mapping[str, Any]) -> models.Filter:
    """A filter that holds where every named metadata field has its value.

    A list of values means any of them. A dot in a name goes one level down, as in Qdrant.
    """
    from qdrant_client import models

    return models.Filter(must=[_condition(key, value) for key, value in conditions.items()])


def _condition(key: str, value: Any) -> models.Filter | models.FieldCondition:
    from qdrant_client import models

    if isinstance(value, Sequence) and not isinstance(value, str):
        return models.Filter(should=[_condition(key, item) for item in value])
    field = f"{METADATA_KEY}.{key}"
    if isinstance(value, float):
        return models.FieldCondition(key=field, range=models.Range(gte=value, lte=value))
    return models.FieldCondition(key=field, match=models.MatchValue(value=value))
