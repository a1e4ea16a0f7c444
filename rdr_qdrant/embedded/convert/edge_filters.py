"""Filters: the client's `models.Filter` into the engine's, condition by condition."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, cast

import numpy as np
import qdrant_edge as edge
from qdrant_client import models

from rdr_qdrant.embedded.convert.edge_points import to_engine_id
from rdr_qdrant.embedded.convert.optional import if_given
from rdr_qdrant.embedded.errors import not_supported

Conditions = models.Condition | list[models.Condition] | None


def to_engine_filter(client_filter: models.Filter | None) -> edge.Filter | None:
    """The engine's filter for the client's; None, which matches every point, stays None.

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
        min_should=if_given(client_filter.min_should, _least),
    )


def without_ids(
    client_filter: models.Filter | None, ids: Iterable[models.ExtendedPointId]
) -> models.Filter | None:
    """`client_filter` that also leaves out the points `ids`."""
    named = list(ids)
    if not named:
        return client_filter
    excluded = models.HasIdCondition(has_id=named)
    if client_filter is None:
        return models.Filter(must_not=[excluded])
    unwanted = client_filter.must_not or []
    unwanted = unwanted if isinstance(unwanted, list) else [unwanted]
    return client_filter.model_copy(update={"must_not": [*unwanted, excluded]})


def to_engine_condition(condition: models.Condition) -> edge.ConditionType:
    """The engine's condition for the client's. Raises NotSupportedError for a kind it lacks."""
    match condition:
        case models.FieldCondition():
            return _field(condition)
        case models.IsEmptyCondition():
            return edge.IsEmptyCondition(key=condition.is_empty.key)
        case models.IsNullCondition():
            return edge.IsNullCondition(key=condition.is_null.key)
        case models.HasIdCondition():
            return edge.HasIdCondition({to_engine_id(one) for one in condition.has_id})
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
    return _all(conditions if isinstance(conditions, list) else [conditions])


def _all(conditions: list[models.Condition]) -> list[edge.ConditionType]:
    return [to_engine_condition(condition) for condition in conditions]


def _least(least: models.MinShould) -> edge.MinShould:
    return edge.MinShould(conditions=_all(least.conditions), min_count=least.min_count)


def _field(condition: models.FieldCondition) -> edge.FieldCondition:
    return edge.FieldCondition(
        key=condition.key,
        match=if_given(condition.match, _match),
        range=if_given(condition.range, _range),
        geo_bounding_box=if_given(condition.geo_bounding_box, _box),
        geo_radius=if_given(condition.geo_radius, _circle),
        geo_polygon=if_given(condition.geo_polygon, _polygon),
        values_count=if_given(condition.values_count, _values_count),
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
        return edge.RangeDateTime(**{side: _moment(value) for side, value in bounds})
    return edge.RangeFloat(**dict(bounds))


def _values_count(bounds: models.ValuesCount) -> edge.ValuesCount:
    return edge.ValuesCount(**dict(bounds))


def _moment(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def to_engine_geo_point(point: models.GeoPoint) -> edge.GeoPoint:
    """A place, in degrees."""
    return edge.GeoPoint(lon=point.lon, lat=point.lat)


def _box(box: models.GeoBoundingBox) -> edge.GeoBoundingBox:
    return edge.GeoBoundingBox(
        to_engine_geo_point(box.top_left), to_engine_geo_point(box.bottom_right)
    )


def _circle(circle: models.GeoRadius) -> edge.GeoRadius:
    return edge.GeoRadius(to_engine_geo_point(circle.center), circle.radius)


def _polygon(polygon: models.GeoPolygon) -> edge.GeoPolygon:
    holes = polygon.interiors
    return edge.GeoPolygon(
        exterior=_ring(polygon.exterior),
        interiors=None if holes is None else [_ring(hole) for hole in holes],
    )


def _ring(line: models.GeoLineString) -> list[edge.GeoPoint]:
    return [to_engine_geo_point(point) for point in line.points]
