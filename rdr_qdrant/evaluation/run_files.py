"""What was found for each question, written down as it is found, for other people's programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import numpy as np
import regex

from rdr_qdrant.collection import ScoredPassage
from rdr_qdrant.evaluation.output_file import whole_text

_UNSAFE_IN_TREC = regex.compile(r"[\s\p{Z}\p{C}%]")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found for one question.

    Attributes:
        number: the question's place among those asked, from 1.
        question: as it was written.
        answers: those that were looked for.
        hits: passages, best first.
        has_answer: for each of them whether its text contains an answer.
    """

    number: int
    question: str
    answers: Sequence[str]
    hits: Sequence[ScoredPassage]
    has_answer: Sequence[bool]


class FindingWriter(Protocol):
    """Takes each question's findings in the order of the questions."""

    def __call__(self, finding: Finding) -> None: ...


@contextmanager
def dpr_run(path: Path) -> Iterator[FindingWriter]:
    """DPR's retrieval output (`dense_retriever.save_results`): what its readers take as input.

    A JSON list of `{question, answers, ctxs: [{id, title, text, score, has_answer}]}`, one question
    a line, all ASCII; scores are strings, as DPR writes them. In place when it is whole.

    Raises:
        OutputError: it cannot be written.
    """
    with whole_text(path) as put:
        separator = "[\n"

        def write(finding: Finding) -> None:
            nonlocal separator
            put(separator + json.dumps(_dpr_entry(finding)))
            separator = ",\n"

        yield write
        put("[]\n" if separator == "[\n" else "\n]\n")


@contextmanager
def trec_run(path: Path, tag: str) -> Iterator[FindingWriter]:
    """A run for `trec_eval`: `qid Q0 docid rank score tag` a line, the question's number as qid.

    White space would end an id, so it is percent-encoded there, and so is `%` itself
    (`urllib.parse.unquote` gives the id back). In place when it is whole.

    Raises:
        OutputError: it cannot be written.
    """
    with whole_text(path) as put:
        tag = trec_word(tag)

        def write(finding: Finding) -> None:
            for rank, hit in enumerate(finding.hits, start=1):
                document = trec_word(hit.passage.id)
                score = score_text(hit.score)
                put(f"{finding.number} Q0 {document} {rank} {score} {tag}\n")

        yield write


def score_text(score: float) -> str:
    """A score as DPR writes it: the shortest decimal that is this 32-bit float."""
    return str(np.float32(score))


def trec_word(text: str) -> str:
    """A text without white space, from which it can be had again."""
    return str(_UNSAFE_IN_TREC.sub(lambda found: quote(found[0], safe="", errors="replace"), text))


def _dpr_entry(finding: Finding) -> dict[str, object]:
    return {
        "question": finding.question,
        "answers": list(finding.answers),
        "ctxs": [
            {
                "id": hit.passage.id,
                "title": hit.passage.title,
                "text": hit.passage.text,
                "score": score_text(hit.score),
                "has_answer": found,
            }
            for hit, found in zip(finding.hits, finding.has_answer, strict=True)
        ],
    }
