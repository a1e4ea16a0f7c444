"""Relevance judgments (qrels) in TREC's and in BEIR's format, and runs in TREC's."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers.file_io import check_readable, open_text
from rdr_qdrant.readers.row_parser import RowError, check_json

Number = TypeVar("Number", int, float)

Qrels = dict[str, dict[str, int]]
"""Relevance by question id and document id; above 0 is relevant."""

Run = dict[str, dict[str, float]]
"""Score by question id and document id; higher is better."""

MAX_RELEVANCE = 1_000_000
"""Highest relevance. trec_eval has a table of all levels: 2,147,483,647 would take 16 GB."""

BEIR_COLUMNS = ("query-id", "corpus-id", "score")
_QRELS_FORMATS = (
    "Qrels are TREC's four columns (question, 0, document, relevance), or BEIR's TSV with the "
    f"header {' '.join(BEIR_COLUMNS)}"
)
_RUN_FORMAT = "A run has TREC's six columns: question, Q0, document, rank, score, tag"


def read_qrels(path: str | Path) -> Qrels:
    """Read relevance judgments; the content tells the format. The file may be `.gz`.

    Raises:
        SourceError: the file cannot be read, holds no judgments, or a line is not a judgment or
            contradicts another.
    """
    columns: list[int] = []

    def parse(line: str, is_first: bool) -> tuple[str, str, int] | None:
        fields = next(csv.reader([line], delimiter="\t"))
        if is_first and set(BEIR_COLUMNS) <= set(fields):
            columns.extend(map(fields.index, BEIR_COLUMNS))
            return None
        if not columns:
            question, _, document, relevance = _split(line, 4, _QRELS_FORMATS)
        elif len(fields) > max(columns):
            question, document, relevance = (fields[column] for column in columns)
        else:
            raise RowError(f"has {len(fields)} columns, fewer than the header. {_QRELS_FORMATS}")
        return question, document, _relevance(relevance)

    return _read(Path(path), "judgments", parse)


def read_trec_run(path: str | Path) -> Run:
    """Read a run, `question Q0 document rank score tag` per line; the file may be `.gz`.

    The rank is not used: as in trec_eval, the scores are the order.

    Raises:
        SourceError: the file cannot be read, holds no results, or a line is not a result or
            contradicts another.
    """

    def parse(line: str, is_first: bool) -> tuple[str, str, float]:
        question, _, document, _, score, _ = _split(line, 6, _RUN_FORMAT)
        return question, document, _score(score)

    return _read(Path(path), "results", parse)


def _read(
    path: Path, content: str, parse: Callable[[str, bool], tuple[str, str, Number] | None]
) -> dict[str, dict[str, Number]]:
    """Read one number per question and document; `parse` makes them of a line, if it has one."""
    check_readable(path)
    numbers: dict[str, dict[str, Number]] = {}
    is_first = True
    with open_text(path) as stream:
        for line_number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                check_json(line)
                if parsed := parse(line, is_first):
                    question, document, number = parsed
                    if numbers.setdefault(question, {}).setdefault(document, number) != number:
                        raise RowError(f"another number for {question} and {document}")
            except (RowError, csv.Error) as error:
                raise SourceError(f"{path}, line {line_number}: {error}.") from None
            is_first = False
    if not numbers:
        raise SourceError(f"{path} holds no {content}.")
    return numbers


def _split(line: str, count: int, description: str) -> list[str]:
    fields = line.split()
    if len(fields) != count:
        raise RowError(f"has {len(fields)} columns, not {count}. {description}")
    return fields


def _relevance(text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value.is_integer():
        raise RowError(f"the relevance {text!r} is not a whole number")
    if abs(value) > MAX_RELEVANCE:
        raise RowError(f"the relevance {text} is beyond {MAX_RELEVANCE:,}")
    return int(value)


def _score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RowError(f"the score {text!r} is not a finite number")
    return value
