"""Limits of a collection in strict mode, which Qdrant Cloud switches on, and requests within them.

The rates are per minute and shard. An upsert may be charged twice, on its way and in the shard
(Qdrant 1.19), so that a batch of more than half the rate never passes; a quarter leaves a margin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rdr_qdrant.errors import CollectionError

if TYPE_CHECKING:
    from qdrant_client import models

T = TypeVar("T")

SHARE_OF_RATE = 4
"""A request costs at most this part of a rate: a quarter."""


class ResultLimitError(CollectionError):
    """More results are asked for than the collection returns.

    Attributes:
        limit: the largest number.
    """

    def __init__(self, message: str, limit: int) -> None:
        super().__init__(message, limit)
        self.limit = limit

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class StrictLimits:
    """Limits of a collection; `None` is none.

    Attributes:
        points_per_upsert: points in one upsert.
        points_per_minute: points written.
        reads_per_minute: searches, pages, or points looked up by their ids.
        searches_per_request: searches sent together.
        results: passages that a search or a page returns.
        ids_per_filter: ids in one condition of a filter.
        conditions: of a filter.
        allows_exact: searches and counts may be exact.
        filters_need_index: a filter by a field without an index is refused.
    """

    points_per_upsert: int | None = None
    points_per_minute: int | None = None
    reads_per_minute: int | None = None
    searches_per_request: int | None = None
    results: int | None = None
    ids_per_filter: int | None = None
    conditions: int | None = None
    allows_exact: bool = True
    filters_need_index: bool = False

    @classmethod
    def of(cls, info: models.CollectionInfo) -> StrictLimits:
        """Read the limits from Qdrant's description of a collection."""
        strict = info.config.strict_mode_config
        if strict is None or not strict.enabled:
            return cls()
        unindexed = strict.unindexed_filtering_retrieve, strict.unindexed_filtering_update
        return cls(
            points_per_upsert=strict.upsert_max_batchsize,
            points_per_minute=strict.write_rate_limit,
            reads_per_minute=strict.read_rate_limit,
            searches_per_request=strict.search_max_batchsize,
            results=strict.max_query_limit,
            ids_per_filter=strict.condition_max_size,
            conditions=strict.filter_max_conditions,
            allows_exact=strict.search_allow_exact is not False,
            filters_need_index=False in unindexed,
        )

    @property
    def upsert_size(self) -> int | None:
        """Points to upsert together."""
        return _least(self.points_per_upsert, self.write_size)

    @property
    def write_size(self) -> int | None:
        """Points to change or delete together."""
        return _part(self.points_per_minute)

    @property
    def delete_size(self) -> int | None:
        """Points to delete together by their ids and a filter."""
        return _least(self.write_size, self.ids_per_filter)

    def search_size(self, conditions: int) -> int | None:
        """Searches to send together, each of which has a filter of so many conditions.

        A search costs one read, and one more for each condition.
        """
        return _least(self.searches_per_request, _part(self.reads_per_minute, 1 + conditions))

    @property
    def lookup_size(self) -> int | None:
        """Ids to look up together by a filter."""
        return _least(self.results, self.ids_per_filter)

    def check_results(self, name: str, k: int) -> None:
        """Refuse a number of results that the collection never returns.

        Raises:
            ResultLimitError: names the largest.
        """
        if self.results is not None and k > self.results:
            raise ResultLimitError(
                f"Collection {name!r} is in strict mode and returns at most {self.results} results "
                f"(max_query_limit), but k is {k}. Ask for k={self.results} or fewer, or have the "
                "limit raised.",
                self.results,
            )

    def check_exact(self, name: str) -> None:
        """Refuse exact search where the collection does.

        Raises:
            CollectionError: it does.
        """
        if not self.allows_exact:
            raise CollectionError(
                f"Collection {name!r} is in strict mode and takes no exact search "
                "(search_allow_exact). Leave --exact and --compare-exact (exact, compare_exact) "
                "out, or have it allowed."
            )


def parts(items: Sequence[T], size: int | None) -> Iterator[Sequence[T]]:
    """Split items into parts of at most so many; `None` is any number."""
    step = size or len(items) or 1
    for start in range(0, len(items), step):
        yield items[start : start + step]


def _part(rate: int | None, cost: int = 1) -> int | None:
    return None if rate is None else max(1, rate // (SHARE_OF_RATE * cost))


def _least(*limits: int | None) -> int | None:
    return min((one for one in limits if one is not None), default=None)
