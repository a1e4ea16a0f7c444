"""Published recall figures, to compare measured ones with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rdr_qdrant.errors import UsageError
from rdr_qdrant.registry import PAIRS, PUBLISHED_QUESTIONS, EncoderPair

RecallRow = tuple[str, Mapping[int, float]]
"""A label, and answer recall in percent by k."""


@dataclass(frozen=True, slots=True)
class PublishedFigures:
    """Published answer recall of a pair and its baseline on one data set.

    Attributes:
        data: `trivia-dev`, `trivia-test`, `nq-dev` or `nq-test`.
        pair: name of the pair.
        recall: its answer recall in percent by k, or `None` if none is published.
        baseline: name of the pair it is compared with, or `None`.
        baseline_recall: the baseline's answer recall, or `None`.
    """

    data: str
    pair: str
    recall: Mapping[int, float] | None
    baseline: str | None
    baseline_recall: Mapping[int, float] | None

    @property
    def rows(self) -> list[RecallRow]:
        """The published rows with their labels."""
        rows: list[RecallRow] = []
        if self.recall:
            rows.append((f"published, {self.pair}", self.recall))
        if self.baseline_recall:
            rows.append((f"baseline, {self.baseline}", self.baseline_recall))
        return rows

    def remarks(self, questions: int | None = None) -> list[str]:
        """Explain which figures are missing or not comparable.

        Args:
            questions: number of questions evaluated, if known.
        """
        remarks = []
        if not self.recall:
            published = [name for name, pair in PAIRS.items() if self.data in pair.published]
            remarks.append(
                f"No figures of {self.pair} are published for {self.data}; "
                f"there are some of {', '.join(published)}."
            )
        if self.baseline and not self.baseline_recall:
            remarks.append(
                f"No figures of the baseline {self.baseline} are published for {self.data}."
            )
        expected = PUBLISHED_QUESTIONS[self.data]
        if self.rows and questions is not None and questions != expected:
            remarks.append(
                f"Not directly comparable: {self.data} has {expected:,} questions, "
                f"but {questions:,} were asked."
            )
        return remarks

    def to_json(self) -> dict[str, Any]:
        """Return the attributes, keys as strings; `recall` is null if nothing is published."""
        return {
            "data": self.data,
            "pair": self.pair,
            "recall": _string_keys(self.recall),
            "baseline": self.baseline,
            "baseline_recall": _string_keys(self.baseline_recall),
        }


def published_figures(pair: EncoderPair, data: str) -> PublishedFigures:
    """Look up the published recall of a pair and its baseline on a data set.

    Raises:
        UsageError: an unknown data set.
    """
    check_data_set(data)
    baseline = PAIRS[pair.baseline] if pair.baseline else None
    return PublishedFigures(
        data=data,
        pair=pair.label,
        recall=pair.published.get(data),
        baseline=pair.baseline,
        baseline_recall=baseline.published.get(data) if baseline else None,
    )


def check_data_set(data: str) -> None:
    """Refuse an unknown data set.

    Raises:
        UsageError: unknown; the message lists the known ones.
    """
    if data not in PUBLISHED_QUESTIONS:
        known = ", ".join(PUBLISHED_QUESTIONS)
        raise UsageError(f"No figures are published for {data!r}. Known: {known}.")


def recall_table(
    recall: Mapping[int, float], rows: Sequence[RecallRow] = ()
) -> tuple[list[str], list[list[str]]]:
    """Lay out answer recall as a table, percent with two decimals.

    Args:
        recall: measured, by k; its keys are the columns.
        rows: figures to compare with. The difference to the first is a row of its own.

    Returns:
        The header and the rows.
    """
    header = ["answer recall, %" if rows else "", *(f"@{depth}" for depth in recall)]
    table = [["measured" if rows else "answer recall, %", *(f"{v:.2f}" for v in recall.values())]]
    for number, (name, figures) in enumerate(rows):
        table.append([name, *(f"{figures[k]:.2f}" if k in figures else "-" for k in recall)])
        if number == 0:
            table.append(["  difference", *_differences(recall, figures)])
    return header, table


def _differences(measured: Mapping[int, float], figures: Mapping[int, float]) -> list[str]:
    return [f"{v - figures[k]:+.2f}" if k in figures else "-" for k, v in measured.items()]


def _string_keys(recall: Mapping[int, float] | None) -> dict[str, float] | None:
    return None if recall is None else {str(k): value for k, value in recall.items()}
