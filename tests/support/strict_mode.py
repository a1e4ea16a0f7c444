"""Strict mode: what a collection refuses, in the words of Qdrant 1.19 (its recorded answers)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from qdrant_client import models

from tests.support.qdrant_calls import ApiError, Call

STRICT = models.StrictModeConfig(
    enabled=True, unindexed_filtering_retrieve=False, unindexed_filtering_update=False
)
"""Qdrant Cloud's default, as far as filters go."""

UPSERT = TypeAdapter(models.PointInsertOperations)
SELECTOR = TypeAdapter(models.PointsSelector)
SPLIT = "request larger than rate limiter capacity, please try to split your request"


@dataclass
class RateLimiter:
    """Tokens that come back evenly over a minute."""

    kind: str
    per_minute: int
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._tokens = float(self.per_minute)
        self._at = self.clock()

    def take(self, cost: int) -> None:
        """Take tokens, or refuse; an upsert takes them twice, on its way and in the shard."""
        words = f"Rate limiting exceeded: {self.kind} rate limit exceeded"
        if cost > self.per_minute:
            raise ApiError(429, f"{words}, {SPLIT}")
        now = self.clock()
        per_second = self.per_minute / 60
        self._tokens = min(self.per_minute, self._tokens + (now - self._at) * per_second)
        self._at = now
        if cost > self._tokens + 1e-6:
            seconds = max(1, math.ceil((cost - self._tokens) / per_second - 1e-6))
            raise ApiError(
                429,
                f"{words}: Operation requires {cost} tokens but only {self._tokens:.1f} were "
                f"available. Retry after {seconds}s",
                {"retry-after": str(seconds)},
            )
        self._tokens -= cost


@dataclass
class _Asked:
    """What a request asks for, as far as strict mode cares."""

    limits: list[int]
    filters: list[models.Filter]
    exact: bool = False
    hnsw_ef: int | None = None
    upserted: int = 0
    updated: int = 0
    searches: int = 0
    reads: int = 0
    writes: int = 0
    new_index: bool = False


def check_strict_mode(call: Call, template: str, strict: models.StrictModeConfig) -> None:
    """Refuse a request that exceeds a limit of the collection.

    Raises:
        ApiError: 400, or 429 for a rate.
    """
    asked = _asked(call, template)
    if asked is None:
        return
    _check_limit(_timeout(call), strict.max_timeout, "timeout")
    _check_limit(asked.upserted, strict.upsert_max_batchsize, "upsert limit")
    _check_limit(asked.updated, strict.upsert_max_batchsize, "update limit")
    _check_limit(asked.searches, strict.search_max_batchsize, "search batch size")
    for limit in asked.limits:
        _check_limit(limit, strict.max_query_limit, "limit")
    if asked.exact and strict.search_allow_exact is False:
        raise ApiError(400, "Bad request: Exact search disabled!. Help: Set exact=false.")
    _check_limit(asked.hnsw_ef or 0, strict.search_max_hnsw_ef, "hnsw_ef")
    if asked.new_index:
        _check_index_count(call, strict.max_payload_index_count)
    allowed = strict.unindexed_filtering_retrieve, strict.unindexed_filtering_update
    for chosen in asked.filters:
        found = list(_conditions(chosen))
        if strict.filter_max_conditions is not None and len(found) > strict.filter_max_conditions:
            raise ApiError(
                400,
                f"Bad request: Filter condition limit reached ({len(found)} > "
                f"{strict.filter_max_conditions}). Help: Reduce the amount of conditions of your "
                "filter.",
            )
        for condition in found:
            _check_limit(_condition_size(condition), strict.condition_max_size, "condition size")
        if allowed[bool(asked.writes)] is False:
            _check_indexed(call, chosen)
    if asked.reads and strict.read_rate_limit:
        call.settings.limiter(call, "Read", strict.read_rate_limit).take(asked.reads)
    if asked.writes and strict.write_rate_limit:
        limiter = call.settings.limiter(call, "Write", strict.write_rate_limit)
        limiter.take(asked.writes)
        limiter.take(asked.writes)


def _asked(call: Call, template: str) -> _Asked | None:
    under = template.removeprefix("/collections/{collection_name}")
    match under:
        case "/points/query":
            return _of_queries([call.read(TypeAdapter(models.QueryRequest))])
        case "/points/query/batch":
            searches = call.read(TypeAdapter(models.QueryRequestBatch)).searches
            asked = _of_queries(searches)
            asked.searches = len(searches)
            return asked
        case "/points/query/groups":
            groups = call.read(TypeAdapter(models.QueryGroupsRequest))
            return _of_read([groups.limit or 10], [groups.filter])
        case "/points/scroll":
            scroll = call.read(TypeAdapter(models.ScrollRequest))
            return _of_read([10 if scroll.limit is None else scroll.limit], [scroll.filter])
        case "/points/count":
            count = call.read(TypeAdapter(models.CountRequest))
            asked = _of_read([], [count.filter])
            asked.exact = count.exact is not False
            return asked
        case "/points/delete":
            selector: Any = call.read(SELECTOR)
            return _of_writes(call, [selector])
        case "/points/payload" | "/points/payload/delete":
            shape = models.DeletePayload if under.endswith("delete") else models.SetPayload
            return _of_writes(call, [call.read(TypeAdapter(shape))])
        case "/points/batch":
            operations = call.read(TypeAdapter(models.UpdateOperations)).operations
            return _of_writes(
                call, [getattr(o, next(iter(o.model_fields_set))) for o in operations]
            )
        case "/points/vectors":
            updated = call.read(TypeAdapter(models.UpdateVectors))
            filters = [updated.update_filter] if updated.update_filter else []
            number = len(updated.points)
            return _Asked([], filters, updated=number, writes=number)
        case "/points":
            if not call.is_upsert:
                ids = call.read(TypeAdapter(models.PointRequest)).ids
                return _Asked([], [], reads=len(ids))
            points = _points_of(call.read(UPSERT))
            return _Asked([], [], upserted=points, writes=points)
        case "/index":
            return _Asked([], [], new_index=True)
    return None


def _of_queries(queries: list[models.QueryRequest]) -> _Asked:
    asked = _of_read(
        [10 if one.limit is None else one.limit for one in queries], [one.filter for one in queries]
    )
    params = [one.params for one in queries if one.params]
    asked.exact = any(one.exact for one in params)
    asked.hnsw_ef = max((one.hnsw_ef or 0 for one in params), default=0)
    asked.reads = len(queries) + asked.reads - 1
    return asked


def _of_read(limits: list[int], filters: list[models.Filter | None]) -> _Asked:
    given = [one for one in filters if one]
    return _Asked(limits, given, reads=1 + sum(len(list(_conditions(one))) for one in given))


def _of_writes(call: Call, changes: list[Any]) -> _Asked:
    filters = [one.filter for one in changes if getattr(one, "filter", None)]
    ids = sum(len(getattr(one, "points", None) or ()) for one in changes)
    matched = [call.client.count(call.name, count_filter=one).count for one in filters]
    return _Asked([], filters, writes=ids + sum(max(1, one) for one in matched))


def _points_of(body: Any) -> int:
    return len(body.batch.ids if isinstance(body, models.PointsBatch) else body.points)


def _timeout(call: Call) -> int:
    return int(call.query.get("timeout", 0))


def _check_limit(value: int, limit: int | None, name: str) -> None:
    if limit is not None and value > limit:
        raise ApiError(
            400,
            f'Bad request: Limit exceeded {value} > {limit} for "{name}". Help: Reduce the '
            f'"{name}" parameter to or below {limit}.',
        )


def _check_index_count(call: Call, most: int | None) -> None:
    if most is not None and len(call.client.get_collection(call.name).payload_schema) >= most:
        raise ApiError(
            400,
            f"Bad request: Collection already has the maximum number of payload indices ({most}). "
            "Help: Please delete an existing index before creating a new one.",
        )


def _check_indexed(call: Call, chosen: models.Filter) -> None:
    schema = call.client.get_collection(call.name).payload_schema
    for condition in _conditions(chosen):
        for key, kinds in _needed(condition):
            there = schema.get(key)
            if there is None or (kinds and there.data_type.value not in kinds):
                raise ApiError(
                    400,
                    f'Bad request: Index required but not found for "{key}" of one of the '
                    f"following types: [{', '.join(kinds)}]. Help: Create an index for this key or "
                    "use a different filter.",
                )


def _conditions(chosen: models.Filter) -> Iterator[Any]:
    for part in (chosen.must, chosen.should, chosen.must_not):
        for condition in part if isinstance(part, list) else [part] if part else []:
            if isinstance(condition, models.Filter):
                yield from _conditions(condition)
            else:
                yield condition


def _condition_size(condition: Any) -> int:
    match condition:
        case models.HasIdCondition(has_id=ids):
            return len(ids)
        case models.FieldCondition(match=models.MatchAny(any=values)):
            return len(values)
    return 0


def _needed(condition: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The field that a condition asks for, and the types of index that serve it; none: any."""
    match condition:
        case models.IsEmptyCondition():
            yield condition.is_empty.key, ()
        case models.FieldCondition(match=models.MatchValue(value=value)):
            kinds = {bool: ("bool",), int: ("integer",)}.get(type(value))
            yield condition.key, kinds or ("keyword", "uuid")
        case models.FieldCondition(range=models.DatetimeRange()):
            yield condition.key, ("datetime",)
        case models.FieldCondition(range=models.Range()):
            yield condition.key, ("integer", "float")
