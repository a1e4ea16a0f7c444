"""Answer recall@k: the share of questions with an answer among their best k passages."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from rdr_qdrant.evaluation.answer_matcher import Answers, MatchType
from rdr_qdrant.evaluation.regex_matcher import PatternAnswers
from rdr_qdrant.evaluation.string_matcher import StringAnswers
from rdr_qdrant.registry import RECALL_AT

logger = logging.getLogger(__name__)


def answers_for(answers: Iterable[object], match: MatchType = "string") -> Answers:
    """The answers of a question, ready to be looked for.

    Raises:
        TypeError: one string in place of several, whose letters would each count as an answer.
        ValueError: an unknown way of matching.
    """
    if match == "string":
        return StringAnswers(answers)
    if match == "regex":
        return PatternAnswers(answers)
    raise ValueError(f"match must be 'string' or 'regex', not {match!r}")


def first_hit(
    texts: Iterable[str], answers: Iterable[object], match: MatchType = "string"
) -> int | None:
    """Index of the first text that contains one of the answers, or `None`."""
    return first_found(texts, answers_for(answers, match))


def first_found(texts: Iterable[str], wanted: Answers) -> int | None:
    """`first_hit` of answers that are ready."""
    if isinstance(texts, str):
        raise TypeError(f"texts must be a list of strings, not the string {texts[:40]!r}")
    if not wanted.usable:
        return None
    return next((index for index, text in enumerate(texts) if wanted.found_in(text)), None)


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
    *,
    match: MatchType = "string",
) -> dict[int, float]:
    """Answer recall@k in percent, as DPR computes it and the model cards give it.

    Args:
        retrieved: for each question the texts (not titles) of its passages, best first.
        answers: for each question the acceptable answers.
        k: depths.
        match: `string`, the answers' tokens; or `regex`, where each answer is a pattern, searched
            whatever the case (CuratedTREC).

    Returns:
        For each depth the percentage of questions for which one of the first k texts contains one
        of the answers, with two decimals. A question without answers counts as not found. Answers
        that cannot be looked for (empty, not strings, without a token, patterns that are not valid
        or do not end) are never found; a warning is logged of them.

    Raises:
        ValueError: the two do not have the same length, a depth is below 1, or `match` is unknown.
        TypeError: a question has one string in place of a list.
    """
    if any(depth < 1 for depth in k):
        raise ValueError(f"every k must be at least 1, not {min(k)}")
    hits = []
    for number, (texts, given) in enumerate(zip(retrieved, answers, strict=True), start=1):
        wanted = answers_for(given, match)
        hits.append(first_found(texts, wanted))
        for unusable in wanted.unusable:
            logger.warning("Question %d: %s (%r)", number, unusable.reason, unusable.answer)
    return percent_at(hits, k)
