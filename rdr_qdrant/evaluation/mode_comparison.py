"""Evaluates search modes with the same questions, and compares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rdr_qdrant.collection import QueryOptions
from rdr_qdrant.evaluation.answer_matcher import MatchType
from rdr_qdrant.evaluation.bootstrap import BootstrapInterval, paired_difference
from rdr_qdrant.evaluation.evaluate import EvaluationReport, evaluate
from rdr_qdrant.evaluation.ranking import RankingEvaluation, RankingReport
from rdr_qdrant.evaluation.run_files import ResultWriter
from rdr_qdrant.readers import Question, RejectHandler
from rdr_qdrant.registry import RECALL_AT
from rdr_qdrant.searcher import PassageSearcher

ProgressHandler = Callable[[int], None]

PerQuestion = Mapping[str, npt.NDArray[np.float64]]
"""By name of a measure one value per question, float64 [questions]."""


def evaluate_modes(
    searcher: PassageSearcher,
    questions: Sequence[Question],
    modes: Mapping[str, QueryOptions],
    *,
    k: Sequence[int] = RECALL_AT,
    exact: bool = False,
    compare_exact: bool = False,
    match: MatchType = "string",
    writers: Sequence[ResultWriter] = (),
    on_reject: RejectHandler | None = None,
    on_progress: ProgressHandler | None = None,
) -> dict[str, EvaluationReport]:
    """`evaluate` the same questions in each mode; returns the reports by mode.

    Args:
        searcher, questions, k, exact, compare_exact, match, writers: see `evaluate`.
        modes: by a name for it, the options of each search.
        on_reject: called once with each answer that cannot be searched for.
        on_progress: called with the number of searches done, of `len(questions) * len(modes)`.
    """
    reports: dict[str, EvaluationReport] = {}
    for mode, options in modes.items():
        reports[mode] = evaluate(
            searcher,
            questions,
            k=k,
            exact=exact,
            compare_exact=compare_exact,
            match=match,
            options=options,
            writers=writers,
            on_reject=None if reports else on_reject,
            on_progress=_counted_from(len(reports) * len(questions), on_progress),
        )
    return reports


def rank_modes(
    searcher: PassageSearcher,
    questions: Sequence[Question],
    modes: Mapping[str, QueryOptions],
    ranking: RankingEvaluation,
    *,
    exact: bool = False,
    writers: Sequence[ResultWriter] = (),
    on_progress: ProgressHandler | None = None,
) -> dict[str, RankingReport]:
    """Measure the same questions by relevance judgments in each mode; returns reports by mode.

    Args:
        searcher, modes, exact, writers, on_progress: see `evaluate_modes`.
        questions: from `ranking.select_questions`.
        ranking: the judgments.

    Raises:
        SourceError: the collection holds none of the judged documents.
        CollectionError: it does not exist.
    """
    ranking.check_documents(searcher.collection)
    reports: dict[str, RankingReport] = {}
    for mode, options in modes.items():
        ranking.clear()
        found = evaluate(
            searcher,
            questions,
            k=[ranking.depth],
            exact=exact,
            options=options,
            writers=[*writers, ranking],
            on_progress=_counted_from(len(reports) * len(questions), on_progress),
        )
        reports[mode] = replace(ranking.report(), seconds=found.seconds)
    return reports


def _counted_from(start: int, on_progress: ProgressHandler | None) -> ProgressHandler | None:
    return on_progress and (lambda done: on_progress(start + done))


@dataclass(frozen=True)
class ModeComparison:
    """Measures of several modes; each is compared with the first.

    Attributes:
        values: by mode, its measures.
    """

    values: Mapping[str, PerQuestion]

    def differences(self) -> dict[str, dict[str, BootstrapInterval]]:
        """Return by pair of modes (`bm25 - dense`) and measure the mean difference."""
        (first, base), *others = self.values.items()
        return {
            f"{mode} - {first}": {
                name: paired_difference(column, base[name]) for name, column in columns.items()
            }
            for mode, columns in others
        }

    def to_json(self) -> dict[str, Any]:
        """Return `modes`, the means, and `differences`, each with the bounds of 95 %."""
        return {
            "modes": {
                mode: {name: round(float(column.mean()), 4) for name, column in columns.items()}
                for mode, columns in self.values.items()
            },
            "differences": {
                pair: {
                    name: {
                        "mean": round(d.mean, 4),
                        "low": round(d.low, 4),
                        "high": round(d.high, 4),
                    }
                    for name, d in columns.items()
                }
                for pair, columns in self.differences().items()
            },
        }


def difference_table(
    comparison: ModeComparison, header: Sequence[str], decimals: int
) -> tuple[list[str], list[list[str]]]:
    """Lay out the differences as a table; returns header and rows.

    Args:
        comparison: the modes.
        header: titles of the measures.
        decimals: of the numbers.
    """
    rows = []
    for pair, columns in comparison.differences().items():
        intervals = columns.values()
        rows.append([pair, *(f"{one.mean:+.{decimals}f}" for one in intervals)])
        rows.append(["  95 % from", *(f"{one.low:+.{decimals}f}" for one in intervals)])
        rows.append(["  95 % to", *(f"{one.high:+.{decimals}f}" for one in intervals)])
    return ["difference", *header], rows


def hits_at(first_hits: Sequence[int | None], k: Sequence[int]) -> PerQuestion:
    """Return by k, for each question, 100 if its first hit is in the top k, else 0."""
    ranks = np.array([np.inf if hit is None else hit for hit in first_hits])
    return {str(depth): np.where(ranks < depth, 100.0, 0.0) for depth in k}
