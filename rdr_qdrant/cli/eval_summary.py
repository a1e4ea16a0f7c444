"""The figures of an evaluation, on stdout; remarks, on stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rdr_qdrant.cli.progress import duration
from rdr_qdrant.cli.stderr import pluralize, print_message
from rdr_qdrant.cli.stdout import print_json, print_table

if TYPE_CHECKING:
    from rdr_qdrant.evaluation import (
        EvaluationReport,
        ExactComparison,
        ModeComparison,
        PublishedFigures,
        RankingReport,
    )


def print_recall(
    reports: Mapping[str, EvaluationReport], published: PublishedFigures | None, *, as_json: bool
) -> None:
    """Print answer recall by mode, and the differences of the other modes to the first."""
    from rdr_qdrant.evaluation import ModeComparison, hits_at, recall_table

    first = next(iter(reports.values()))
    seconds = sum(report.seconds for report in reports.values())
    comparison = ModeComparison(
        {mode: hits_at(report.first_hits, list(report.recall)) for mode, report in reports.items()}
    )
    for remark in published.remarks(first.questions) if published else ():
        print_message(f"Note: {remark}")
    if as_json:
        values = first.to_json() | {"seconds": round(seconds, 3)}
        values |= comparison.to_json() if len(reports) > 1 else {}
        print_json(values | ({"published": published.to_json()} if published else {}))
        return
    if len(reports) > 1:
        rows = {mode: recall_table(report.recall)[1][0][1:] for mode, report in reports.items()}
        header = [f"@{depth}" for depth in first.recall]
        _print_modes("answer recall, %", header, rows, comparison, decimals=2)
    else:
        print_table(*recall_table(first.recall, published.rows if published else ()))
    if first.exact:
        _print_exact(first.exact)
    print_message(f"{pluralize(first.questions, 'questions')} in {duration(seconds)}.")


def print_rankings(reports: Mapping[str, RankingReport], *, as_json: bool) -> None:
    """Print measures by qrels, of a run or by mode, and differences as `print_recall` does."""
    from rdr_qdrant.evaluation import ModeComparison, ranking_table

    first = next(iter(reports.values()))
    seconds = [report.seconds for report in reports.values() if report.seconds is not None]
    comparison = ModeComparison({mode: report.per_question for mode, report in reports.items()})
    for remark in first.remarks():
        print_message(f"Note: {remark}")
    if as_json:
        values = first.to_json() | (comparison.to_json() if len(reports) > 1 else {})
        print_json(values | ({"seconds": round(sum(seconds), 3)} if seconds else {}))
        return
    header, cells = ranking_table(first)
    if len(reports) > 1:
        rows = {mode: ranking_table(report)[1][0] for mode, report in reports.items()}
        _print_modes("mode", header, rows, comparison, decimals=4)
    else:
        print_table(header, cells, numbers=header)
    took = f" in {duration(sum(seconds))}" if seconds else ""
    print_message(f"{pluralize(first.questions, 'questions')}{took}.")


def draw_plot(
    path: Path,
    reports: Mapping[str, EvaluationReport],
    published: PublishedFigures | None,
    subject: str,
) -> None:
    """Plot answer recall: several modes, or one beside the published figures."""
    from rdr_qdrant.evaluation import draw_recall

    (mode, first), *others = reports.items()
    rows = [(name, report.recall) for name, report in others]
    draw_recall(
        path,
        first.recall,
        rows or (published.rows if published else ()),
        title=f"Answer recall on {published.data}" if published else "Answer recall",
        subtitle=f"{subject}, {pluralize(first.questions, 'questions')}",
        label=mode if others else "measured",
    )


def _print_modes(
    title: str,
    header: Sequence[str],
    rows: Mapping[str, Sequence[str]],
    comparison: ModeComparison,
    decimals: int,
) -> None:
    from rdr_qdrant.evaluation import difference_table

    print_table([title, *header], [[mode, *cells] for mode, cells in rows.items()])
    print()
    print_table(*difference_table(comparison, header, decimals))


def _print_exact(exact: ExactComparison) -> None:
    header = ["beside exact search", *(f"@{depth}" for depth in exact.recall)]
    rows = [
        ("answer recall, exact search, %", *(f"{v:.2f}" for v in exact.recall.values())),
        ("  what the index changes, points", *(f"{v:+.2f}" for v in exact.difference.values())),
        ("passages of exact search found, %", *(f"{v:.2f}" for v in exact.overlap.values())),
    ]
    print()
    print_table(header, rows)
