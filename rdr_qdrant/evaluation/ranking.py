"""Ranking measures from relevance judgments, computed by `ir-measures` (extra `ranking`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from rdr_qdrant.collection import Collection
from rdr_qdrant.errors import SourceError, install_hint
from rdr_qdrant.evaluation.run_files import QuestionResult, score_text, trec_word
from rdr_qdrant.passages import point_id
from rdr_qdrant.readers import Qrels, Question, Run
from rdr_qdrant.registry import RECALL_AT

CUTOFF = 10
"""Depth of nDCG and MRR."""

IDS_PER_LOOKUP = 1_000


@dataclass(frozen=True, slots=True)
class RankingReport:
    """Ranking measures, each from 0 to 1, over the questions of the qrels.

    Attributes:
        questions: number of questions of the qrels.
        measures: mean by name: `ndcg@10`, `mrr@10`, `map`, then `recall@k` by k.
        per_question: by the same names, one value per question in the order of the qrels,
            float64 [questions].
        missing_questions: questions of the qrels that were not searched for; each counts as 0.
        unjudged_questions: questions without qrels, which were left out.
        missing_documents: documents of the qrels that the collection does not hold, or `None` if
            no collection was searched.
        documents: documents of the qrels.
        seconds: duration of the searches, or `None` if a run was measured.
    """

    questions: int
    measures: Mapping[str, float]
    per_question: Mapping[str, npt.NDArray[np.float64]]
    missing_questions: int
    unjudged_questions: int
    missing_documents: int | None
    documents: int
    seconds: float | None = None

    def remarks(self) -> list[str]:
        """Say how many questions and documents the measures lack, and how many were left out."""
        counts = {
            "Questions of the qrels that were not asked, each counting as 0": (
                self.missing_questions,
                self.questions,
            ),
            "Documents of the qrels that the collection does not hold": (
                self.missing_documents,
                self.documents,
            ),
            "Questions without qrels, left out": (self.unjudged_questions, None),
        }
        return [
            f"{text}: {count:,}" + ("." if total is None else f" of {total:,}.")
            for text, (count, total) in counts.items()
            if count
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the measures and the counts; `missing_documents` is null without a collection."""
        return {
            "questions": self.questions,
            **self.measures,
            "missing_questions": self.missing_questions,
            "unjudged_questions": self.unjudged_questions,
            "missing_documents": self.missing_documents,
        }


class RankingEvaluation:
    """Collects rankings and measures them by relevance judgments; a `ResultWriter`.

    Equal scores are ordered as the measure's own tool orders them, not as they were found: nDCG,
    MAP and recall as trec_eval does (ids descending), MRR as MS MARCO's script (ids ascending).

    Args:
        qrels: the judgments.
        k: depths of recall.

    Raises:
        SourceError: ir-measures is not installed.
    """

    def __init__(self, qrels: Qrels, k: Sequence[int] = RECALL_AT) -> None:
        check_installed()
        self._qrels = qrels
        self._k = k
        self._run: Run = {}
        self._unjudged = 0
        self._missing_documents: int | None = None

    @property
    def depth(self) -> int:
        """Number of passages to fetch per question; MAP is over as many."""
        return max(CUTOFF, *self._k)

    def select_questions(self, questions: Iterable[Question]) -> list[Question]:
        """Return the questions to ask, those with judgments.

        Raises:
            SourceError: there are none.
        """
        given = list(questions)
        chosen = [question for question in given if question.id in self._qrels]
        if not chosen:
            raise _no_common_ids(self._qrels, [question.id for question in given])
        self._unjudged = len(given) - len(chosen)
        return chosen

    def check_documents(self, collection: Collection) -> None:
        """Count the judged documents that a collection does not hold.

        Raises:
            SourceError: it holds none of them.
            CollectionError: it does not exist.
            StoreError: Qdrant does not answer or refuses.
        """
        collection.info()
        documents = list(self._documents())
        missing = 0
        for start in range(0, len(documents), IDS_PER_LOOKUP):
            spellings = [
                {point_id(document), point_id(unquote(document))}
                for document in documents[start : start + IDS_PER_LOOKUP]
            ]
            held = collection.points.existing_ids(list(set().union(*spellings)))
            missing += sum(held.isdisjoint(one) for one in spellings)
        if missing == len(documents):
            raise SourceError(
                f"Collection {collection.name!r} holds none of the {missing:,} documents of the "
                f"qrels, such as {documents[0]!r}: its passages have other ids. Load the corpus "
                "that the qrels are about, without --split, which makes ids of its own."
            )
        self._missing_documents = missing

    def __call__(self, result: QuestionResult) -> None:
        """Take over the passages found for a question of `select_questions`."""
        judged = self._qrels[result.id]
        self._run[result.id] = {
            hit.passage.id if hit.passage.id in judged else trec_word(hit.passage.id): float(
                score_text(hit.score)
            )
            for hit in result.hits
        }

    def add_run(self, run: Run) -> None:
        """Take over a run from a file; ids may be percent-encoded, as `trec_run` writes them.

        Raises:
            SourceError: none of its questions has judgments.
        """
        for question, scores in run.items():
            known = question if question in self._qrels else unquote(question)
            judged = self._qrels.get(known)
            if judged is None:
                self._unjudged += 1
            else:
                self._run[known] = {
                    document if document in judged else unquote(document): score
                    for document, score in scores.items()
                }
        if not self._run:
            raise _no_common_ids(self._qrels, list(run))

    def clear(self) -> None:
        """Forget the rankings, for those of another search of the same questions."""
        self._run = {}

    def report(self) -> RankingReport:
        """Measure what was collected."""
        import ir_measures

        names = {
            ir_measures.nDCG @ CUTOFF: f"ndcg@{CUTOFF}",
            ir_measures.RR @ CUTOFF: f"mrr@{CUTOFF}",
            ir_measures.AP: "map",
            **{ir_measures.R @ k: f"recall@{k}" for k in self._k},
        }
        rows = {question: row for row, question in enumerate(self._qrels)}
        values = {name: np.zeros(len(rows)) for name in names.values()}
        for found in ir_measures.iter_calc(list(names), self._qrels, self._run):
            values[names[found.measure]][rows[found.query_id]] = found.value
        return RankingReport(
            questions=len(rows),
            measures={name: float(numbers.mean()) for name, numbers in values.items()},
            per_question=values,
            missing_questions=len(self._qrels.keys() - self._run.keys()),
            unjudged_questions=self._unjudged,
            missing_documents=self._missing_documents,
            documents=len(self._documents()),
        )

    def _documents(self) -> dict[str, None]:
        """Return the judged documents, each once."""
        return {document: None for judged in self._qrels.values() for document in judged}


def check_installed() -> None:
    """Refuse to measure without ir-measures, before any work is done.

    Raises:
        SourceError: it is not installed.
    """
    try:
        import ir_measures  # noqa: F401
    except ImportError:
        raise SourceError(
            f"Measuring by qrels needs ir-measures: {install_hint('ranking')}."
        ) from None


def ranking_table(report: RankingReport) -> tuple[list[str], list[list[str]]]:
    """Lay out the measures as a table, fractions with four decimals; returns header and rows."""
    titles = {f"ndcg@{CUTOFF}": f"nDCG@{CUTOFF}", f"mrr@{CUTOFF}": f"MRR@{CUTOFF}", "map": "MAP"}
    header = [titles.get(name, name.replace("recall", "R")) for name in report.measures]
    return header, [[f"{value:.4f}" for value in report.measures.values()]]


def _no_common_ids(qrels: Qrels, others: Sequence[str]) -> SourceError:
    if not others:
        return SourceError("There are no readable questions: nothing to evaluate.")
    return SourceError(
        f"None of the {len(others):,} questions has qrels. An id of a question: {others[0]!r}; "
        f"of the qrels: {next(iter(qrels))!r}. Name the qrels of these questions."
    )
