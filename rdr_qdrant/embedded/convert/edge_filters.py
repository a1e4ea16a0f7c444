"""Filters: the client's `models.Filter` into the engine's, condition by condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, TypeVar, cast

import numpy as np
import qdrant_edge as edge
from qdrant_client import models

from rdr_qdrant.embedded.convert.edge_points import to_engine_id
from rdr_qdrant.embedded.errors import not_supported

Conditions = models.Condition | list[models.Condition] | None
C = TypeVar("C")  # a part of a filter in qdrant-client
E = TypeVar("E")  # the same in the engine


def to_engine_filter(client_filter: models.Filter | None) -> edge.Filter | None:
    """Convert a filter; None, which matches every point, stays None.

    Raises:
        NotSupportedError: a condition that the engine does not have (`slice`).
    """
    if client_filter is None:
        return None
    if isinstance(client_filter, dict):
        client_filter = models.Filter(**client_filter)
    if not isinstance(client_filter, models.Filter):
        raise not_supported(f"a filter of type {type(client_filter)}", "pass a models.Filter")
    return edge.Filter(
        must=_conditions(client_filter.must),
        should=_conditions(client_filter.should),
        must_not=_conditions(client_filter.must_not),
        min_should=_optional(client_filter.min_should, _min_should),
    )


def without_ids(
    client_filter: models.Filter | None, ids: Iterable[models.ExtendedPointId]
) -> models.Filter | None:
    """Return a filter that matches as `client_filter` does, but none of the points `ids`."""
    excluded_ids = list(ids)
    if not excluded_ids:
        return client_filter
    excluded = models.HasIdCondition(has_id=excluded_ids)
    if client_filter is None:
        return models.Filter(must_not=[excluded])
    must_not = client_filter.must_not or []
    must_not = must_not if isinstance(must_not, list) else [must_not]
    return client_filter.model_copy(update={"must_not": [*must_not, excluded]})


def to_engine_condition(condition: models.Condition) -> edge.ConditionType:
    """Convert a condition. Raises NotSupportedError for a kind that the engine does not have."""
    match condition:
        case models.FieldCondition():
            return _field(condition)
        case models.IsEmptyCondition():
            return edge.IsEmptyCondition(key=condition.is_empty.key)
        case models.IsNullCondition():
            return edge.IsNullCondition(key=condition.is_null.key)
        case models.HasIdCondition():
            return edge.HasIdCondition({to_engine_id(point_id) for point_id in condition.has_id})
        case models.HasVectorCondition():
            return edge.HasVectorCondition(vector=condition.has_vector)
        case models.NestedCondition():
            inner = to_engine_filter(condition.nested.filter) or edge.Filter()
            return edge.NestedCondition(key=condition.nested.key, filter=inner)
        case models.Filter():
            return to_engine_filter(condition) or edge.Filter()
    raise not_supported(f"the condition {type(condition).__name__}", "leave it out")


def _conditions(conditions: Conditions) -> list[edge.ConditionType] | None:
    if conditions is None:
        return None
    conditions = conditions if isinstance(conditions, list) else [conditions]
    return [to_engine_condition(condition) for condition in conditions]


def _min_should(min_should: models.MinShould) -> edge.MinShould:
    return edge.MinShould(
        conditions=_conditions(min_should.conditions) or [], min_count=min_should.min_count
    )


def _optional(value: C | None, convert: Callable[[C], E]) -> E | None:
    return None if value is None else convert(value)


def _field(condition: models.FieldCondition) -> edge.FieldCondition:
    return edge.FieldCondition(
        key=condition.key,
        match=_optional(condition.match, _match),
        range=_optional(condition.range, _range),
        geo_bounding_box=_optional(condition.geo_bounding_box, _bounding_box),
        geo_radius=_optional(condition.geo_radius, _radius),
        geo_polygon=_optional(condition.geo_polygon, _polygon),
        values_count=_optional(condition.values_count, _values_count),
        is_empty=condition.is_empty,
        is_null=condition.is_null,
    )


def _match(match: Any) -> edge.MatchType:
    match match:
        case models.MatchValue(value=bool(value)):
            # qdrant-edge-py 0.9.0 takes True for the number 1, which no boolean matches; numpy's
            # booleans are no numbers, and it takes them for what they are.
            return edge.MatchValue(cast(bool, np.bool_(value)))
        case models.MatchValue(value=value):
            return edge.MatchValue(value)
        case models.MatchAny(any=values):
            return edge.MatchAny(values)
        case models.MatchExcept(except_=values):
            return edge.MatchExcept(values)
        case models.MatchText(text=text):
            return edge.MatchText(text)
        case models.MatchTextAny(text_any=text):
            return edge.MatchTextAny(text)
        case models.MatchPhrase(phrase=text):
            return edge.MatchPhrase(text)
        case models.MatchPrefix(prefix=text):
            return edge.MatchPrefix(text)
        case models.MatchSubstring(substring=text):
            return edge.MatchSubstring(text)
    raise not_supported(f"the match {type(match).__name__}", "leave it out")


def _range(bounds: Any) -> edge.RangeType:
    if isinstance(bounds, models.DatetimeRange):
        return edge.RangeDateTime(**{side: _isoformat(value) for side, value in bounds})
    return edge.RangeFloat(**dict(bounds))


def _values_count(bounds: models.ValuesCount) -> edge.ValuesCount:
    return edge.ValuesCount(**dict(bounds))


def _isoformat(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def to_engine_geo_point(point: models.GeoPoint) -> edge.GeoPoint:
    """Convert a point given in degrees."""
    return edge.GeoPoint(lon=point.lon, lat=point.lat)


def _bounding_box(box: models.GeoBoundingBox) -> edge.GeoBoundingBox:
    return edge.GeoBoundingBox(
        to_engine_geo_point(box.top_left), to_engine_geo_point(box.bottom_right)
    )


def _radius(circle: models.GeoRadius) -> edge.GeoRadius:
    return edge.GeoRadius(to_engine_geo_point(circle.center), circle.radius)


def _polygon(polygon: models.GeoPolygon) -> edge.GeoPolygon:
    holes = polygon.interiors
    return edge.GeoPolygon(
        exterior=_ring(polygon.exterior),
        interiors=None if holes is None else [_ring(hole) for hole in holes],
    )


def _ring(line: models.GeoLineString) -> list[edge.GeoPoint]:
    return [to_engine_geo_point(point) for point in line.points]
