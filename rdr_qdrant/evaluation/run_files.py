"""Writes the results of each question in file formats that other programs read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import numpy as np
import regex

from rdr_qdrant.atomic_io import open_atomically
from rdr_qdrant.collection import ScoredPassage
from rdr_qdrant.errors import OutputError, UsageError

_UNSAFE_IN_TREC = regex.compile(r"[\s\p{Z}\p{C}%]")


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """The passages found for one question.

    Attributes:
        number: position of the question, from 1.
        question: its text.
        answers: the answers searched for.
        hits: passages, best first.
        has_answer: for each passage, whether its text contains an answer.
        id: the question's id in relevance judgments, `""` if it has none.
    """

    number: int
    question: str
    answers: Sequence[str]
    hits: Sequence[ScoredPassage]
    has_answer: Sequence[bool]
    id: str = ""


class ResultWriter(Protocol):
    """Writes the result of each question, called in the order of the questions."""

    def __call__(self, result: QuestionResult) -> None: ...


def check_outputs(outputs: Sequence[Path], sources: Sequence[Path] = ()) -> None:
    """Refuse output paths that cannot be written, before any work is done; writes nothing.

    Raises:
        UsageError: an output is one of the sources, or is given twice.
        OutputError: its folder does not exist or is not writable, or it is not a regular file.
    """
    conflicts = {_file_identity(path): f"{path} is an input" for path in sources}
    for path in outputs:
        identity = _file_identity(path)
        if conflict := conflicts.get(identity):
            raise UsageError(f"{conflict} and would be overwritten. Choose another output file.")
        conflicts[identity] = f"{path} is given as an output twice"
        if not path.parent.is_dir():
            raise OutputError(f"Cannot write {path}: there is no folder {path.parent}. Make it.")
        if path.exists() and not path.is_file():
            raise OutputError(f"Cannot write {path}: it is not a regular file. Name another file.")
        if not os.access(path.parent, os.W_OK):
            raise OutputError(f"Cannot write {path}: no permission to write in {path.parent}.")


@contextmanager
def dpr_run(path: Path) -> Iterator[ResultWriter]:
    """Write DPR's retrieval output (`dense_retriever.save_results`), the input of its readers.

    A JSON list of `{question, answers, ctxs: [{id, title, text, score, has_answer}]}`, one question
    per line, in ASCII; scores are strings, as DPR writes them. `path` is replaced only once the
    new file is complete.

    Raises:
        OutputError: the file cannot be written.
    """
    with open_atomically(path) as file:
        separator = "[\n"

        def write(result: QuestionResult) -> None:
            nonlocal separator
            file.write(separator + json.dumps(_dpr_entry(result)))
            separator = ",\n"

        yield write
        file.write("[]\n" if separator == "[\n" else "\n]\n")


@contextmanager
def trec_run(path: Path, tag: str) -> Iterator[ResultWriter]:
    """Write a run for `trec_eval`: `qid Q0 docid rank score tag` per line.

    The qid is the question's id in relevance judgments, or else its number.

    White space would end an id, so it is percent-encoded, and so is `%` (`urllib.parse.unquote`
    restores the id). `path` is replaced only once the new file is complete.

    Raises:
        OutputError: the file cannot be written.
    """
    with open_atomically(path) as file:
        tag = trec_word(tag)

        def write(result: QuestionResult) -> None:
            question = trec_word(result.id or str(result.number))
            for rank, hit in enumerate(result.hits, start=1):
                document = trec_word(hit.passage.id)
                score = score_text(hit.score)
                file.write(f"{question} Q0 {document} {rank} {score} {tag}\n")

        yield write


def score_text(score: float) -> str:
    """Format a score as DPR does: the shortest decimal that is this 32-bit float."""
    return str(np.float32(score))


def trec_word(text: str) -> str:
    """Percent-encode white space and `%`."""
    return str(_UNSAFE_IN_TREC.sub(lambda found: quote(found[0], safe="", errors="replace"), text))


def _dpr_entry(result: QuestionResult) -> dict[str, object]:
    return {
        "question": result.question,
        "answers": list(result.answers),
        "ctxs": [
            {
                "id": hit.passage.id,
                "title": hit.passage.title,
                "text": hit.passage.text,
                "score": score_text(hit.score),
                "has_answer": has_answer,
            }
            for hit, has_answer in zip(result.hits, result.has_answer, strict=True)
        ],
    }


def _file_identity(path: Path) -> tuple[int, int] | Path:
    """Return a value that is equal for two names of one file, links included."""
    try:
        found = path.stat()
    except OSError:
        return path.resolve()
    return found.st_dev, found.st_ino
