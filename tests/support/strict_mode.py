"""An embedded Qdrant with the part of strict mode that is about filters, in the server's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qdrant_client import models

from rdr_qdrant.embedded import EmbeddedQdrant

STRICT = models.StrictModeConfig(
    enabled=True, unindexed_filtering_retrieve=False, unindexed_filtering_update=False
)
"""Qdrant Cloud's default, as far as filters go."""


class StrictQdrant(EmbeddedQdrant):
    """Strict for the collections that `update_collection(strict_mode_config=...)` named."""

    def __init__(self, path: Any) -> None:
        super().__init__(path)
        self._strict: dict[str, models.StrictModeConfig] = {}

    def update_collection(self, collection_name: str, **changes: Any) -> bool:
        strict = changes.pop("strict_mode_config", None)
        if strict is not None:
            self._strict[collection_name] = strict
        given = {name: value for name, value in changes.items() if value is not None}
        return super().update_collection(collection_name, **given) if given else True

    def delete_collection(self, collection_name: str, **options: Any) -> bool:
        self._strict.pop(collection_name, None)
        return super().delete_collection(collection_name, **options)

    def get_collection(self, collection_name: str, **options: Any) -> models.CollectionInfo:
        info = super().get_collection(collection_name, **options)
        if strict := self._strict.get(collection_name):
            output = models.StrictModeConfigOutput(**strict.model_dump(exclude_none=True))
            info.config.strict_mode_config = output
        return info

    def scroll(self, collection_name: str, scroll_filter: Any = None, **options: Any) -> Any:
        self._check(collection_name, scroll_filter)
        return super().scroll(collection_name, scroll_filter, **options)

    def query_batch_points(self, collection_name: str, requests: Any, **options: Any) -> Any:
        for request in requests:
            self._check(collection_name, request.filter)
        return super().query_batch_points(collection_name, requests, **options)

    def delete(self, collection_name: str, points_selector: Any, **options: Any) -> Any:
        self._check(collection_name, getattr(points_selector, "filter", None))
        return super().delete(collection_name, points_selector, **options)

    def batch_update_points(
        self, collection_name: str, update_operations: Any, **options: Any
    ) -> Any:
        for one in update_operations:
            self._check(collection_name, getattr(getattr(one, "set_payload", None), "filter", None))
        return super().batch_update_points(collection_name, update_operations, **options)

    def _check(self, name: str, chosen: models.Filter | None) -> None:
        if chosen is None or name not in self._strict:
            return
        schema = super().get_collection(name).payload_schema
        for key, kinds in _needed(chosen):
            there = schema.get(key)
            if there is None or (kinds and there.data_type.value not in kinds):
                raise ValueError(
                    f'Index required but not found for "{key}" of one of the following types: '
                    f"[{', '.join(kinds)}]. Help: Create an index for this key or use a different "
                    "filter."
                )


def _needed(chosen: models.Filter) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The fields that a filter asks for, and the types of index that serve it; none: any."""
    for part in (chosen.must, chosen.should, chosen.must_not):
        for condition in part if isinstance(part, list) else [part] if part else []:
            match condition:
                case models.Filter():
                    yield from _needed(condition)
                case models.IsEmptyCondition():
                    yield condition.is_empty.key, ()
                case models.FieldCondition(match=models.MatchValue(value=value)):
                    kinds = {bool: ("bool",), int: ("integer",)}.get(type(value))
                    yield condition.key, kinds or ("keyword", "uuid")
                case models.FieldCondition(range=models.DatetimeRange()):
                    yield condition.key, ("datetime",)
                case models.FieldCondition(range=models.Range()):
                    yield condition.key, ("integer", "float")
