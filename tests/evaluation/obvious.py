"""Answer recall as anyone would write it down from the rules: slow, short, and none of our code."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import regex


def obvious_tokens(text: str) -> list[str]:
    """Letters, numbers and marks in runs, other visible characters alone, one after the other."""
    tokens, run = [], ""
    for character in unicodedata.normalize("NFD", text):
        kind = unicodedata.category(character)[0]
        if kind in "LNM":
            run += character
            continue
        if run:
            tokens.append(run)
            run = ""
        if kind not in "ZC":
            tokens.append(character)
    if run:
        tokens.append(run)
    return [token.lower() for token in tokens]


def obviously_has_answer(text: str, answers: Iterable[str]) -> bool:
    words = obvious_tokens(text)
    for answer in answers:
        wanted = obvious_tokens(answer)
        for start in range(len(words)):
            if wanted and words[start : start + len(wanted)] == wanted:
                return True
    return False


def obviously_matches(text: str, patterns: Iterable[str]) -> bool:
    """What DPR says of regex answers, save that blank ones do not count."""
    for pattern in patterns:
        if not pattern.strip():
            continue
        try:
            found = regex.search(
                unicodedata.normalize("NFD", pattern),
                unicodedata.normalize("NFD", text),
                regex.I | regex.U | regex.M,
            )
        except regex.error:
            continue
        if found:
            return True
    return False


def obvious_recall(
    found: Sequence[tuple[Sequence[str], Sequence[str]]], k: int, match: str = "string"
) -> float:
    """Percent of `(texts, answers)` with an answer among the first k texts."""
    contains = obviously_matches if match == "regex" else obviously_has_answer
    hits = 0
    for texts, answers in found:
        for text in texts[:k]:
            if contains(text, answers):
                hits += 1
                break
    return round(100 * hits / len(found), 2)


def recall_of_run(path: Path, depths: Sequence[int], match: str = "string") -> dict[str, float]:
    """Recall of a file in DPR's retrieval format, from its texts and answers alone."""
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="ascii"))
    found = [([ctx["text"] for ctx in entry["ctxs"]], entry["answers"]) for entry in entries]
    return {str(k): obvious_recall(found, k, match) for k in depths}
