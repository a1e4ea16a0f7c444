"""Evaluates a collection with a set of questions and their answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat
from typing import Any

from rdr_qdrant.collection import QueryOptions, ScoredPassage
from rdr_qdrant.errors import SourceError
from rdr_qdrant.evaluation.adaptive_batching import AdaptiveBatchSearch
from rdr_qdrant.evaluation.ann_vs_exact import ExactComparison, OverlapCounter
from rdr_qdrant.evaluation.answer_matcher import MatchType, make_matcher
from rdr_qdrant.evaluation.recall import first_match, percent_at
from rdr_qdrant.evaluation.run_files import QuestionResult, ResultWriter
from rdr_qdrant.readers import Question, Reject, RejectHandler
from rdr_qdrant.registry import RECALL_AT
from rdr_qdrant.searcher import PassageSearcher

ENCODE_BATCH = 128
"""Questions encoded together."""


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Answer recall of a collection.

    Attributes:
        questions: number of questions.
        recall: percent by k, two decimals.
        seconds: duration of the evaluation.
        exact: comparison with exact search, if requested.
        first_hits: for each question the rank, from 0, of its first passage with an answer.
    """

    questions: int
    recall: dict[int, float]
    seconds: float
    exact: ExactComparison | None = None
    first_hits: Sequence[int | None] = ()

    def to_json(self) -> dict[str, Any]:
        """Return `questions`, `recall` (keys as strings), `seconds`, and `compare_exact` if any."""
        comparison = {"compare_exact": self.exact.to_json()} if self.exact else {}
        return {
            "questions": self.questions,
            "recall": {str(k): value for k, value in self.recall.items()},
            "seconds": round(self.seconds, 3),
            **comparison,
        }


def evaluate(
    searcher: PassageSearcher,
    questions: Iterable[Question],
    *,
    k: Sequence[int] = RECALL_AT,
    exact: bool = False,
    compare_exact: bool = False,
    match: MatchType = "string",
    options: QueryOptions | None = None,
    writers: Sequence[ResultWriter] = (),
    on_reject: RejectHandler | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> EvaluationReport:
    """Search every question and find the rank of its first passage with an answer.

    Args:
        searcher: the collection and the encoder pair.
        questions: read lazily; encoded and searched in batches.
        k: cut-offs; the largest is the number of passages fetched per question.
        exact: compare with every vector instead of using the index.
        compare_exact: search both ways and report what the index loses.
        match: how answers are compared, see `answer_recall`.
        options: further options of the searches, such as the mode; see `QueryOptions`.
        writers: called with the result of each question; from `dpr_run` and `trec_run`.
        on_reject: called with each answer that cannot be searched for; it counts as not found.
        on_progress: called with the number of questions done.

    Raises:
        SourceError: there are no questions.
        ValueError: both `exact` and `compare_exact` are set.
    """
    if exact and compare_exact:
        raise ValueError("exact and compare_exact cannot both be set: nothing to compare")
    started = time.monotonic()
    mode = options.get("mode", "dense") if options else "dense"
    searcher.check(mode)
    evaluation = _Evaluation(k, match, writers, on_reject)
    search = AdaptiveBatchSearch(searcher, k=max(k), exact=exact, options=options)
    exact_search = (
        AdaptiveBatchSearch(searcher, k=max(k), exact=True, options=options)
        if compare_exact
        else None
    )
    stream = iter(questions)
    while batch := list(islice(stream, ENCODE_BATCH)):
        prepared = searcher.prepare([question.text for question in batch], mode)
        found = search.search(prepared)
        exactly = exact_search.search(prepared) if exact_search else repeat(None, len(batch))
        for question, hits, exact_hits in zip(batch, found, exactly, strict=True):
            evaluation.add_question(question, hits, exact_hits)
        if on_progress:
            on_progress(len(evaluation.first_hits))
    if not evaluation.first_hits:
        raise SourceError("There are no readable questions: nothing to evaluate.")
    return evaluation.report(time.monotonic() - started)


@dataclass
class _Evaluation:
    """Collects the rank of each question's first passage with an answer."""

    k: Sequence[int]
    match: MatchType
    writers: Sequence[ResultWriter]
    on_reject: RejectHandler | None
    first_hits: list[int | None] = field(default_factory=list)
    exact_first_hits: list[int | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.overlap = OverlapCounter(self.k)

    def add_question(
        self,
        question: Question,
        hits: list[ScoredPassage],
        exact_hits: list[ScoredPassage] | None,
    ) -> None:
        matcher = make_matcher(question.answers, self.match)
        if self.writers:
            flags = [matcher.matches(hit.passage.text) for hit in hits]
            self.first_hits.append(flags.index(True) if True in flags else None)
            number = len(self.first_hits)
            result = QuestionResult(number, question.text, matcher.usable, hits, flags, question.id)
            for write in self.writers:
                write(result)
        else:
            self.first_hits.append(first_match((hit.passage.text for hit in hits), matcher))
        if exact_hits is not None:
            self.overlap.add(hits, exact_hits)
            exact_texts = (hit.passage.text for hit in exact_hits)
            self.exact_first_hits.append(first_match(exact_texts, matcher))
        if self.on_reject:
            for unusable in matcher.unusable:
                row = {"question": question.text, "answer": unusable.answer}
                source = question.source or "questions"
                self.on_reject(Reject(source, question.line, unusable.reason, row))

    def report(self, seconds: float) -> EvaluationReport:
        recall = percent_at(self.first_hits, self.k)
        comparison = None
        if self.exact_first_hits:
            exact = percent_at(self.exact_first_hits, self.k)
            difference = {k: round(recall[k] - exact[k], 2) for k in self.k}
            comparison = ExactComparison(self.overlap.percent(), exact, difference)
        return EvaluationReport(len(self.first_hits), recall, seconds, comparison, self.first_hits)
