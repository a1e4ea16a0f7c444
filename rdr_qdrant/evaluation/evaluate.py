"""A file of questions against a collection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rdr_qdrant.errors import SourceError
from rdr_qdrant.evaluation.recall import first_hit, percent_at
from rdr_qdrant.models import RECALL_AT
from rdr_qdrant.readers import Question
from rdr_qdrant.retriever import PassageSearcher

QUESTIONS_AT_A_TIME = 128


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Answer recall of a collection.

    Attributes:
        questions: how many were asked.
        recall: percent by depth k, two decimals.
        seconds: from start to end.
    """

    questions: int
    recall: dict[int, float]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """`questions`, `recall` (its keys as text) and `seconds`."""
        return {
            "questions": self.questions,
            "recall": {str(k): value for k, value in self.recall.items()},
            "seconds": round(self.seconds, 3),
        }


def evaluate(
    searcher: PassageSearcher,
    questions: Iterable[Question],
    *,
    k: Sequence[int] = RECALL_AT,
    exact: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> EvaluationReport:
    """Ask every question and see at which rank the first passage with an answer comes.

    Args:
        searcher: the collection and the pair.
        questions: lazily; they are asked in batches.
        k: depths; the deepest is how many passages are fetched.
        exact: compare with every point instead of going through the index.
        on_progress: called with the number of questions asked so far.

    Raises:
        SourceError: there is no question at all.
    """
    started = time.monotonic()
    searcher.check()
    stream = iter(questions)
    hits: list[int | None] = []
    while batch := list(islice(stream, QUESTIONS_AT_A_TIME)):
        found = searcher.search([q.text for q in batch], k=max(k), exact=exact)
        for question, passages in zip(batch, found, strict=True):
            hits.append(first_hit((hit.passage.text for hit in passages), question.answers))
        if on_progress:
            on_progress(len(hits))
    if not hits:
        raise SourceError("There is no question that can be read: nothing to evaluate.")
    return EvaluationReport(len(hits), percent_at(hits, k), time.monotonic() - started)
