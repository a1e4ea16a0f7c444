"""Reference implementation of answer recall: short, slow, and independent of the package."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import regex


def reference_tokens(text: str) -> list[str]:
    """Split into runs of letters, numbers and marks, and single other visible characters."""
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


def reference_has_answer(text: str, answers: Iterable[str]) -> bool:
    words = reference_tokens(text)
    for answer in answers:
        wanted = reference_tokens(answer)
        for start in range(len(words)):
            if wanted and words[start : start + len(wanted)] == wanted:
                return True
    return False


def reference_regex_match(text: str, patterns: Iterable[str]) -> bool:
    """DPR's rule for regex answers, except that blank ones never match."""
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


def reference_recall(
    found: Sequence[tuple[Sequence[str], Sequence[str]]], k: int, match: str = "string"
) -> float:
    """Percentage of `(texts, answers)` with an answer in the first k texts."""
    contains = reference_regex_match if match == "regex" else reference_has_answer
    hits = 0
    for texts, answers in found:
        for text in texts[:k]:
            if contains(text, answers):
                hits += 1
                break
    return round(100 * hits / len(found), 2)


def recall_of_run(path: Path, depths: Sequence[int], match: str = "string") -> dict[str, float]:
    """Recall of a file in DPR's retrieval format, computed from its texts and answers."""
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="ascii"))
    found = [([ctx["text"] for ctx in entry["ctxs"]], entry["answers"]) for entry in entries]
    return {str(k): reference_recall(found, k, match) for k in depths}
