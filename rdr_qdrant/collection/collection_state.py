"""`CollectionState`: limits, payload indexes and BM25 of a collection, as last read."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rdr_qdrant.collection.bm25 import BM25_KEY, Bm25Encoder, Bm25Record
from rdr_qdrant.collection.filters import IndexTypes, condition_keys, indexed_fields
from rdr_qdrant.collection.limits import StrictLimits
from rdr_qdrant.collection.query import QueryOptions, compares_words
from rdr_qdrant.errors import CollectionError

if TYPE_CHECKING:
    from qdrant_client import models

    from rdr_qdrant.client import LimitExceededError

logger = logging.getLogger(__name__)

CACHE_SECONDS = 60.0
"""Lifetime for searches: indexes may be created at any time, and an alias may be moved."""

MAX_REMEMBERED_KEYS = 1000

_LIMIT_FIELDS = {
    "upsert limit": "points_per_upsert",
    "update limit": "points_per_upsert",
    "limit": "results",
    "condition size": "ids_per_filter",
    "filter conditions": "conditions",
}
"""Limits as refusals name them, and the fields of `StrictLimits`."""


class CollectionState:
    """Facts about a collection that searches and writes need, as Qdrant last described it.

    Attributes:
        was_read: Qdrant has described it, however long ago.
        limits: of strict mode; none until they are read.
        index_types: payload fields that are indexed, and the types; none until they are read.
    """

    def __init__(self, name: str) -> None:
        self.was_read = False
        self.limits = StrictLimits()
        self.index_types: IndexTypes = {}
        self._name = name
        self._recorded_bm25: Any = None
        self._encoder: Bm25Encoder | None = None
        self._warned = False
        self._fresh_until = -math.inf
        self._next_lookups: dict[str, float] = {}

    def update(self, info: models.CollectionInfo) -> None:
        """Take all of it from Qdrant's description."""
        self.limits = StrictLimits.of(info)
        self.index_types = indexed_fields(info)
        recorded = (info.config.metadata or {}).get(BM25_KEY)
        if recorded != self._recorded_bm25:
            self._recorded_bm25, self._encoder, self._warned = recorded, None, False
        self._fresh_until = time.monotonic() + CACHE_SECONDS
        self.was_read = True

    def is_stale_for(self, options: QueryOptions) -> bool:
        """Return whether a query needs a new description, for its filter or for BM25."""
        from qdrant_client import models

        conditions, words = options.get("filter"), compares_words(options)
        if words and self._recorded_bm25 is None:
            return True  # it may have been added since
        casts_values = conditions is not None and not isinstance(conditions, models.Filter)
        return (words or casts_values) and time.monotonic() > self._fresh_until

    def learn(self, refusal: LimitExceededError) -> bool:
        """Take a limit from a refusal; returns whether it is one that requests can keep to."""
        name = _LIMIT_FIELDS.get(refusal.name)
        if name is None or refusal.limit < 1:
            return False
        limits: dict[str, Any] = {name: refusal.limit}
        self.limits = replace(self.limits, **limits)
        return True

    def allows_lookup(self, conditions: Any) -> bool:
        """Return whether a key of these conditions has not been looked for in the last minute.

        Looking for a metadata key may take a pass over all points.
        """
        now = time.monotonic()
        due = [k for k in condition_keys(conditions) if now >= self._next_lookups.get(k, -math.inf)]
        if len(self._next_lookups) + len(due) > MAX_REMEMBERED_KEYS:
            self._next_lookups.clear()
        self._next_lookups |= dict.fromkeys(due, now + CACHE_SECONDS)
        return bool(due)

    def bm25_record(self) -> Bm25Record | None:
        """How its sparse vectors were made; `None` if it has no BM25.

        Raises:
            CollectionError: another version of rdr-qdrant made them otherwise.
        """
        return Bm25Record.from_json(self._name, self._recorded_bm25)

    def bm25_encoder(self) -> Bm25Encoder | None:
        """An encoder for its words; `None` if it has no BM25.

        Raises:
            CollectionError: as `bm25_record`.
        """
        if self._encoder is None and (record := self.bm25_record()):
            self._encoder = Bm25Encoder(record.language)
        return self._encoder

    def question_encoder(self, language: str | None = None) -> Bm25Encoder:
        """The encoder for the words of questions.

        Args:
            language: of the questions; `None` is that of the collection.

        Raises:
            CollectionError: it has no BM25, or one of another language.
        """
        record, encoder, name = self.bm25_record(), self.bm25_encoder(), self._name
        if record is None or encoder is None:
            raise CollectionError(
                f"Collection {name!r} has no BM25, which the modes bm25 and hybrid need. Add it "
                f"with: rdr-qdrant index -c {name} --bm25 (nothing is encoded again)."
            )
        if language not in (None, record.language):
            raise CollectionError(
                f"The BM25 of collection {name!r} is for {record.language}, not for {language}: "
                "words would not match. Leave the language out."
            )
        if not record.complete and not self._warned:
            self._warned = True
            logger.warning(
                "Some points of collection %r may have no BM25 yet, so that modes bm25 and hybrid "
                "miss them. Finish it with: rdr-qdrant index -c %s --bm25",
                name,
                name,
            )
        return encoder
