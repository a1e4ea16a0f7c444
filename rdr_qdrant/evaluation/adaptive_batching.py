"""Search requests whose batch size follows the server's response time."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rdr_qdrant.collection import QueryOptions, Questions, ScoredPassage
from rdr_qdrant.searcher import PassageSearcher

MAX_HITS_PER_REQUEST = 12_800
"""128 questions of 100 passages, about 13 MB of JSON."""

INITIAL_EXACT_BATCH = 4
"""Exact search reads every vector for each question; 21 million vectors take seconds."""

SLOW_SECONDS = 10.0
FAST_SECONDS = 1.0


class AdaptiveBatchSearch:
    """Searches in batches, doubled after a fast response and halved after a slow one.

    Args:
        searcher: the collection and the encoder pair.
        k: passages per question.
        exact: compare with every vector instead of using the index.
        options: further options of the searches, such as the mode.
    """

    def __init__(
        self,
        searcher: PassageSearcher,
        *,
        k: int,
        exact: bool = False,
        options: QueryOptions | None = None,
    ) -> None:
        self._searcher = searcher
        own = QueryOptions(k=k, exact=exact)
        self._options: QueryOptions = {**options, **own} if options else own
        self._max_batch = max(1, MAX_HITS_PER_REQUEST // k)
        self._batch = min(self._max_batch, INITIAL_EXACT_BATCH) if exact else self._max_batch

    def search(self, questions: Questions) -> Iterator[list[ScoredPassage]]:
        """Yield the passages for each question, best first, in the order of the questions."""
        start = 0
        while start < len(questions):
            batch = questions.part(start, start + self._batch)
            started = time.monotonic()
            found = self._searcher.search_prepared(batch, **self._options)
            self._adapt(time.monotonic() - started)
            start += len(batch)
            yield from found

    def _adapt(self, seconds: float) -> None:
        if seconds > SLOW_SECONDS:
            self._batch = max(1, self._batch // 2)
        elif seconds < FAST_SECONDS:
            self._batch = min(self._max_batch, self._batch * 2)
