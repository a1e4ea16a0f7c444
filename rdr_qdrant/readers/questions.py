"""Questions with their answers: JSON Lines, or DPR's two-column TSV."""

from __future__ import annotations

import ast
import csv
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers import jsonlines
from rdr_qdrant.readers.io import check_readable, open_bytes, open_text, suffix_of
from rdr_qdrant.readers.line_reader import Lines, reader_of
from rdr_qdrant.readers.row_parser import Reject, RejectHandler, RowError


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the answers any of which counts.

    Attributes:
        text: the question as it was written.
        answers: acceptable answers, none of them empty; `()` where there is none to look for.
        source: the file it came from, as it was given (for messages; not compared).
        line: 1-based line at which it ends (for messages; not compared).
    """

    text: str
    answers: tuple[str, ...]
    source: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


_PASSAGE_COLUMNS = {"id", "text"}


def read_questions(path: str | Path, reject: RejectHandler) -> Iterator[Question]:
    """The questions of a file in their order; each row that cannot be used goes to `reject`.

    `.jsonl` has objects with `question` and `answers`; `.tsv` and `.csv` (DPR's `*.qa.csv` are
    tab-separated too) have the question and a Python list literal of answers. Each may be `.gz`.

    Raises:
        SourceError: no such file, an empty one, an unknown extension, or passages instead of
            questions.
    """
    path = Path(path)
    check_readable(path)
    suffix = suffix_of(path)
    if suffix == ".jsonl":
        return _from_json_lines(path, reject)
    if suffix in (".tsv", ".csv"):
        return _from_table(path, reject)
    raise SourceError(
        f"{path} has an extension that is not known for questions ({path.suffix or 'none'}). "
        "Known: .jsonl, .tsv, .csv (each also .gz)."
    )


def _from_json_lines(path: Path, reject: RejectHandler) -> Iterator[Question]:
    with open_bytes(path) as stream:
        for line, row in jsonlines.read_objects(stream, str(path), reject):
            if line == 1 and "text" in row and "question" not in row:
                raise _passages_instead(path, "its first row has a text and no question")
            try:
                yield _question(row.get("question"), row.get("answers"), path, line, reject)
            except RowError as error:
                reject(Reject(str(path), line, str(error), row))


def _from_table(path: Path, reject: RejectHandler) -> Iterator[Question]:
    """Rows as DPR writes them; the literal is parsed as data, never run."""
    with open_text(path) as stream:
        lines = Lines(stream)
        reader = reader_of(lines, "\t", strict=False)  # as DPR reads them
        while True:
            lines.start_row()
            row: list[str] = []
            try:
                row = next(reader)
                if not row:
                    continue
                if lines.number == 1 and {*",".join(row).lower().split(",")} >= _PASSAGE_COLUMNS:
                    raise _passages_instead(path, "its header has id and text")
                if len(row) != 2:
                    raise RowError(f"has {len(row)} tab-separated fields, not 2")
                yield _question(row[0], _literal(row[1]), path, lines.number, reject)
            except StopIteration:
                return
            except (csv.Error, RowError) as error:
                lines.give_back()
                reject(Reject(str(path), lines.number, str(error), row))


def _passages_instead(path: Path, why: str) -> SourceError:
    return SourceError(
        f"{path} holds passages, not questions ({why}). Questions are JSON Lines with question "
        "and answers, or DPR's two columns. To load passages: "
        f"rdr-qdrant ingest {path} -c NAME."
    )


def _literal(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes: 'AC\DC'
            return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise RowError("the answers are not a Python list literal") from None


def _question(text: Any, answers: Any, path: Path, line: int, reject: RejectHandler) -> Question:
    """A question with the answers that can be looked for; the others go to `reject`.

    An empty answer would be found in every passage, so it must not count. The question itself
    stays: leaving it out would raise the recall of the rest.
    """
    if not isinstance(text, str) or not text.strip():
        raise RowError("no question")
    if not isinstance(answers, list | tuple):
        raise RowError("no list of answers")
    _check_utf8(text)
    usable = []
    for answer in answers:
        if isinstance(answer, str) and answer.strip():
            _check_utf8(answer)
            usable.append(answer)
        else:
            kind = "is empty" if isinstance(answer, str) else "is not a string"
            reject(Reject(str(path), line, f"an answer {kind}", {"question": text}))
    if not answers:
        reject(Reject(str(path), line, "no answer, counts as not found", {"question": text}))
    return Question(text, tuple(usable), str(path), line)


def _check_utf8(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise RowError("not valid UTF-8") from None
