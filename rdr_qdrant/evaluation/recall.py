"""Answer recall@k: the share of questions with an answer among their best k passages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rdr_qdrant.evaluation.matching import matchable, matchable_answers
from rdr_qdrant.models import RECALL_AT


def first_hit(texts: Iterable[str], answers: Iterable[str]) -> int | None:
    """Index of the first text that contains one of the answers, or `None`."""
    if isinstance(texts, str):
        raise TypeError(f"texts must be a list of strings, not the string {texts[:40]!r}")
    wanted = matchable_answers(answers)
    if not wanted:
        return None
    for index, text in enumerate(texts):
        form = matchable(text)
        if any(answer in form for answer in wanted):
            return index
    return None


def percent_at(first_hits: Sequence[int | None], k: Sequence[int]) -> dict[int, float]:
    """For each depth the percentage of questions whose first hit lies above it, two decimals."""
    total = len(first_hits)
    return {
        depth: round(100 * sum(h is not None and h < depth for h in first_hits) / total, 2)
        if total
        else 0.0
        for depth in k
    }


def answer_recall(
    retrieved: Iterable[Sequence[str]],
    answers: Iterable[Sequence[str]],
    k: Sequence[int] = RECALL_AT,
) -> dict[int, float]:
    """Answer recall@k in percent, as DPR computes it and the model cards give it.

    Args:
        retrieved: for each question the texts (not titles) of its passages, best first.
        answers: for each question the acceptable answers.
        k: depths.

    Returns:
        For each depth the percentage of questions for which one of the first k texts contains one
        of the answers, with two decimals. A question without answers counts as not found.

    Raises:
        ValueError: the two do not have the same length, or a depth is below 1.
        TypeError: a question has one string in place of a list.
    """
    if any(depth < 1 for depth in k):
        raise ValueError(f"every k must be at least 1, not {min(k)}")
    pairs = zip(retrieved, answers, strict=True)
    return percent_at([first_hit(texts, wanted) for texts, wanted in pairs], k)
