"""Many questions to one collection, so many at a time that each answer comes within seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rdr_qdrant.collection import ScoredPassage
from rdr_qdrant.encoding import FloatArray
from rdr_qdrant.retriever import PassageSearcher

HITS_AT_A_TIME = 12_800
"""128 questions of 100 passages, about 13 MB of JSON."""

EXACT_AT_FIRST = 4
"""Exact search reads every vector for each question: 21 million take seconds."""

SLOW_SECONDS = 10.0
QUICK_SECONDS = 1.0


class PacedSearch:
    """Searches in requests that grow while they are quick and shrink when they are slow.

    Args:
        searcher: the collection and the pair.
        k: passages a question.
        exact: compare with every point instead of going through the index.
    """

    def __init__(self, searcher: PassageSearcher, *, k: int, exact: bool = False) -> None:
        self._searcher = searcher
        self._k = k
        self._exact = exact
        self._most = max(1, HITS_AT_A_TIME // k)
        self._now = min(self._most, EXACT_AT_FIRST) if exact else self._most

    def search(self, vectors: FloatArray) -> Iterator[list[ScoredPassage]]:
        """For each question vector its passages, best first, in order."""
        start = 0
        while start < len(vectors):
            part = vectors[start : start + self._now]
            started = time.monotonic()
            found = self._searcher.search_vectors(part, k=self._k, exact=self._exact)
            self._adapt(time.monotonic() - started)
            start += len(part)
            yield from found

    def _adapt(self, seconds: float) -> None:
        if seconds > SLOW_SECONDS:
            self._now = max(1, self._now // 2)
        elif seconds < QUICK_SECONDS:
            self._now = min(self._most, self._now * 2)
