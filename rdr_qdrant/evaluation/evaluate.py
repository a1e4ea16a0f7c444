"""A file of questions against a collection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from rdr_qdrant.collection import ScoredPassage
from rdr_qdrant.errors import SourceError
from rdr_qdrant.evaluation.adaptive_batching import PacedSearch
from rdr_qdrant.evaluation.ann_vs_exact import ExactComparison, Overlap, compared
from rdr_qdrant.evaluation.answer_matcher import MatchType
from rdr_qdrant.evaluation.recall import answers_for, first_found, percent_at
from rdr_qdrant.evaluation.run_files import Finding, FindingWriter
from rdr_qdrant.readers import Question, Reject, RejectHandler
from rdr_qdrant.registry import RECALL_AT
from rdr_qdrant.retriever import PassageSearcher

QUESTIONS_AT_A_TIME = 128


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Answer recall of a collection.

    Attributes:
        questions: how many were asked.
        recall: percent by depth k, two decimals.
        seconds: from start to end.
        exact: what the index loses, where that was asked for.
    """

    questions: int
    recall: dict[int, float]
    seconds: float
    exact: ExactComparison | None = None

    def to_json(self) -> dict[str, Any]:
        """`questions`, `recall` (its keys as text), `seconds`, and `compare_exact` if asked for."""
        compared = {"compare_exact": self.exact.to_json()} if self.exact else {}
        return {
            "questions": self.questions,
            "recall": {str(k): value for k, value in self.recall.items()},
            "seconds": round(self.seconds, 3),
            **compared,
        }


def evaluate(
    searcher: PassageSearcher,
    questions: Iterable[Question],
    *,
    k: Sequence[int] = RECALL_AT,
    exact: bool = False,
    compare_exact: bool = False,
    match: MatchType = "string",
    writers: Sequence[FindingWriter] = (),
    on_reject: RejectHandler | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> EvaluationReport:
    """Ask every question and see at which rank the first passage with an answer comes.

    Args:
        searcher: the collection and the pair.
        questions: lazily; they are encoded and searched in batches.
        k: depths; the deepest is how many passages are fetched.
        exact: compare with every point instead of going through the index.
        compare_exact: search both ways, and tell what the index loses.
        match: how an answer is looked for, see `answer_recall`.
        writers: given what was found for each question, from `dpr_run` and `trec_run`.
        on_reject: called with each answer that cannot be looked for; it counts as not found.
        on_progress: called with the number of questions asked so far.

    Raises:
        SourceError: there is no question at all.
        ValueError: both `exact` and `compare_exact`: there would be nothing to compare.
    """
    if exact and compare_exact:
        raise ValueError("exact and compare_exact cannot both be set: nothing to compare")
    started = time.monotonic()
    searcher.check()
    tally = _Tally(k, match, writers, on_reject)
    through_index = PacedSearch(searcher, k=max(k), exact=exact)
    past_index = PacedSearch(searcher, k=max(k), exact=True) if compare_exact else None
    stream = iter(questions)
    while batch := list(islice(stream, QUESTIONS_AT_A_TIME)):
        vectors = searcher.encode([question.text for question in batch])
        found = through_index.search(vectors)
        if past_index:
            for question, hits, best in zip(batch, found, past_index.search(vectors), strict=True):
                tally.add(question, hits, best)
        else:
            for question, hits in zip(batch, found, strict=True):
                tally.add(question, hits)
        if on_progress:
            on_progress(len(tally.first))
    if not tally.first:
        raise SourceError("There is no question that can be read: nothing to evaluate.")
    return tally.report(time.monotonic() - started)


@dataclass
class _Tally:
    """The rank of each question's first passage with an answer, by each kind of search."""

    k: Sequence[int]
    match: MatchType
    writers: Sequence[FindingWriter]
    on_reject: RejectHandler | None
    first: list[int | None] = field(default_factory=list)
    first_exact: list[int | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.overlap = Overlap(self.k)

    def add(
        self,
        question: Question,
        hits: list[ScoredPassage],
        exact: list[ScoredPassage] | None = None,
    ) -> None:
        answers = answers_for(question.answers, self.match)
        if self.writers:
            flags = [answers.found_in(hit.passage.text) for hit in hits]
            self.first.append(flags.index(True) if True in flags else None)
            number = len(self.first)
            finding = Finding(number, question.text, answers.usable, hits, flags)
            for write in self.writers:
                write(finding)
        else:
            self.first.append(first_found((hit.passage.text for hit in hits), answers))
        if exact is not None:
            self.overlap.add(hits, exact)
            self.first_exact.append(first_found((hit.passage.text for hit in exact), answers))
        if self.on_reject:
            for unusable in answers.unusable:
                row = {"question": question.text, "answer": unusable.answer}
                source = question.source or "questions"
                self.on_reject(Reject(source, question.line, unusable.reason, row))

    def report(self, seconds: float) -> EvaluationReport:
        recall = percent_at(self.first, self.k)
        exact = None
        if self.first_exact:
            exact = compared(recall, percent_at(self.first_exact, self.k), self.overlap)
        return EvaluationReport(len(self.first), recall, seconds, exact)
