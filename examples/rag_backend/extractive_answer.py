"""Extracts the sentences that answer a question best, ranked by the retriever's own encoders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rdr_qdrant import Passage, RDREmbeddings

MAX_SENTENCES = 64
"""Most sentences compared with a question; those of the top passages come first."""

_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]]*\s+(?=[^a-z\s])|[。！？]+[”’」』）]*\s*|\n\s*\n\s*")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“‘])(?:\w|Mr|Mrs|Ms|Dr|Prof|St|Mt|Jr|Sr|Gen|Col|Lt|Capt|Rev|No|vs|ca|cf|approx|"
    r"e\.g|i\.e|(?:\w\.)+\w)\.$"
)


@dataclass(frozen=True)
class Quote:
    """A sentence of a passage.

    Attributes:
        passage: index of the passage.
        start, end: its position in the passage's text, in characters.
        text: the sentence.
        score: raw inner product with the question.
    """

    passage: int
    start: int
    end: int
    text: str
    score: float


def split_sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each sentence; initials and common abbreviations do not end one."""
    start = 0
    for found in _SENTENCE_END.finditer(text):
        end = len(text[: found.end()].rstrip())
        if text[found.start()] == "." and _ABBREVIATION.search(text[start : found.start() + 1]):
            continue
        if end > start:
            yield start, end
        start = found.end()
    if text[start:].strip():
        yield start, len(text.rstrip())


def best_sentences(
    embeddings: RDREmbeddings, question: str, passages: Sequence[Passage]
) -> list[Quote]:
    """Return the best sentence of each passage, best first.

    Each sentence is embedded by the context encoder, with the title of its passage.
    """
    spans = [
        (index, start, end)
        for index, passage in enumerate(passages)
        for start, end in split_sentences(passage.text)
    ][:MAX_SENTENCES]
    if not spans:
        return []
    sentences = [
        Passage(id="", title=passages[index].title, text=passages[index].text[start:end])
        for index, start, end in spans
    ]
    vectors = embeddings.encode_passages_counted(sentences).vectors
    scores = vectors @ embeddings.encode_questions([question])[0]
    best: dict[int, Quote] = {}
    for order in np.argsort(-scores, kind="stable"):
        index, start, end = spans[order]
        quote = Quote(index, start, end, sentences[order].text, float(scores[order]))
        best.setdefault(index, quote)
    return list(best.values())
