"""Answer recall@k: the share of questions with an answer in one of their top k passages."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from rdr_qdrant.evaluation.answer_matcher import AnswerMatcher, MatchType, make_matcher
from rdr_qdrant.registry import RECALL_AT

logger = logging.getLogger(__name__)


def first_hit(
    texts: Iterable[str], answers: Iterable[object], match: MatchType = "string"
) -> int | None:
    """Return the index of the first text that contains one of the answers, or `None`."""
    return first_match(texts, make_matcher(answers, match))


def first_match(texts: Iterable[str], matcher: AnswerMatcher) -> int | None:
    """Return the index of the first text that the matcher finds an answer in, or `None`."""
    if isinstance(texts, str):
        raise TypeError(f"texts must be a list of strings, not the string {texts[:40]!r}")
    if not matcher.usable:
        return None
    return next((index for index, text in enumerate(texts) if matcher.matches(text)), None)


def percent_at(first_hits: Sequence[int | None], k: Sequence[int]) -> dict[int, float]:
    """Return the percentage of questions whose first hit is in the top k, by k, two decimals."""
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
    """Compute answer recall@k in percent, as DPR computes it and the model cards report it.

    Args:
        retrieved: for each question, the texts (not titles) of its passages, best first.
        answers: for each question, the acceptable answers.
        k: cut-offs.
        match: `string` compares tokens; `regex` searches each answer as a pattern, ignoring case
            (CuratedTREC).

    Returns:
        For each k, the percentage of questions for which one of the first k texts contains one of
        the answers, rounded to two decimals. A question without answers counts as not found. An
        unusable answer (empty, not a string, without a token, an invalid or endless pattern) is
        never found and is logged as a warning.

    Raises:
        ValueError: the two differ in length, a k is below 1, or `match` is unknown.
        TypeError: a question has a single string in place of a list.
    """
    if any(depth < 1 for depth in k):
        raise ValueError(f"every k must be at least 1, not {min(k)}")
    first_hits = []
    for number, (texts, given) in enumerate(zip(retrieved, answers, strict=True), start=1):
        matcher = make_matcher(given, match)
        first_hits.append(first_match(texts, matcher))
        for unusable in matcher.unusable:
            logger.warning("Question %d: %s (%r)", number, unusable.reason, unusable.answer)
    return percent_at(first_hits, k)
