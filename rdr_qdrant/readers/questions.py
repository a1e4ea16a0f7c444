"""Questions with their answers or ids, from JSON Lines or DPR's two-column TSV."""

from __future__ import annotations

import ast
import csv
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import SourceError
from rdr_qdrant.readers.delimited import MERGED_ROWS, QUOTING_HINT
from rdr_qdrant.readers.file_io import as_utf8, check_readable, format_suffix, open_bytes, open_text
from rdr_qdrant.readers.jsonlines import read_objects
from rdr_qdrant.readers.line_reader import LineReader, Quoting, csv_reader
from rdr_qdrant.readers.rejects import Reject, RejectHandler
from rdr_qdrant.readers.row_parser import RowError, check_json, find_id_column, parse_id


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its acceptable answers.

    Attributes:
        text: the question as it was written.
        answers: acceptable answers, none of them empty; `()` if there are none.
        source: name of its file, as the user gave it (for messages; not compared).
        line: 1-based line on which it ends (for messages; not compared).
        id: its id in relevance judgments, `""` if it was read for its answers.
    """

    text: str
    answers: tuple[str, ...]
    source: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)
    id: str = ""


_PASSAGE_COLUMNS = {"id", "text"}


def read_questions(
    path: str | Path, reject: RejectHandler, *, quoting: Quoting = "csv"
) -> Iterator[Question]:
    """Yield the questions of a file in order and pass unusable rows to `reject`.

    `.jsonl` has objects with `question` and `answers`. `.tsv` and `.csv` (DPR's `*.qa.csv` are
    tab-separated too) have the question and a Python list literal of answers. Each may be `.gz`.

    Args:
        path: the file.
        reject: called for each row, and each answer, that cannot be used.
        quoting: `csv`, or `none` for TSV in which quotes are plain characters.

    Raises:
        SourceError: the file does not exist, is empty, has an unknown extension, or holds
            passages instead of questions.
    """
    path = Path(path)
    check_readable(path)
    suffix = format_suffix(path)
    if suffix == ".jsonl":
        return _read_json_lines(path, reject)
    if suffix in (".tsv", ".csv"):
        return _read_delimited(path, reject, quoting)
    raise SourceError(
        f"{path} has an unknown extension for questions ({path.suffix or 'none'}). "
        "Supported: .jsonl, .tsv, .csv (each also .gz)."
    )


def read_questions_with_ids(path: str | Path, reject: RejectHandler) -> Iterator[Question]:
    """Yield the questions of a file of JSON Lines, without their answers, for use with qrels.

    A row has `_id` and `text`, as BEIR's `queries.jsonl`, or `id` and `question`.

    Args:
        path: the file, perhaps `.gz`.
        reject: called for each row that cannot be used.

    Raises:
        SourceError: the file does not exist, is empty, or is not `.jsonl`.
    """
    path = Path(path)
    check_readable(path)
    if format_suffix(path) != ".jsonl":
        raise SourceError(
            f"{path}: questions for qrels are JSON Lines with _id and text (.jsonl, .jsonl.gz); "
            "other formats have no ids."
        )
    return _read_identified(path, reject)


def _read_identified(path: Path, reject: RejectHandler) -> Iterator[Question]:
    seen = set()
    with open_bytes(path) as stream:
        for line, row in read_objects(as_utf8(stream), str(path), reject):
            try:
                text = row.get("question", row.get("text"))
                if not isinstance(text, str) or not text.strip():
                    raise RowError("no question")
                check_json(text)
                identifier = parse_id(row.get(find_id_column(row)))
                if not identifier:
                    raise RowError("no id")
                check_json(identifier)
                if identifier in seen:
                    raise RowError(f"an id that another question has: {identifier}")
            except RowError as error:
                reject(Reject(str(path), line, str(error), row))
            else:
                seen.add(identifier)
                yield Question(text, (), str(path), line, identifier)


def _read_json_lines(path: Path, reject: RejectHandler) -> Iterator[Question]:
    with open_bytes(path) as stream:
        for line, row in read_objects(as_utf8(stream), str(path), reject):
            if line == 1 and "text" in row and "question" not in row:
                raise _holds_passages(path, "its first row has a text and no question")
            try:
                yield _parse_question(row.get("question"), row.get("answers"), path, line, reject)
            except RowError as error:
                reject(Reject(str(path), line, str(error), row))


def _read_delimited(path: Path, reject: RejectHandler, quoting: Quoting) -> Iterator[Question]:
    with open_text(path) as stream:
        lines = LineReader(stream)
        reader = csv_reader(lines, "\t", quoting, strict=False)  # as DPR reads them
        while True:
            lines.start_row()
            row: list[str] = []
            try:
                row = next(reader)
                if not row:
                    continue
                if lines.number == 1 and {*",".join(row).lower().split(",")} >= _PASSAGE_COLUMNS:
                    raise _holds_passages(path, "its header has id and text")
                if lines.number == 1 and row == ["question", "answers"]:
                    continue  # a header, which DPR's files do not have
                if len(row) != 2:
                    raise RowError(f"has {len(row)} tab-separated fields, not 2")
                if any(map(_is_row, row[0].splitlines()[:-1])):
                    raise RowError(f"{MERGED_ROWS} {QUOTING_HINT}")
                yield _parse_question(row[0], _parse_literal(row[1]), path, lines.number, reject)
            except StopIteration:
                return
            except (csv.Error, RowError) as error:
                lines.rewind_to_second_line()
                reject(Reject(str(path), lines.number, str(error), row))


def _is_row(line: str) -> bool:
    """Return whether a line within a quoted question is a question with its answers."""
    _, tab, answers = line.partition("\t")
    try:
        return bool(tab) and isinstance(_parse_literal(answers), list | tuple)
    except RowError:
        return False


def _holds_passages(path: Path, evidence: str) -> SourceError:
    return SourceError(
        f"{path} holds passages, not questions ({evidence}). Questions are JSON Lines with "
        "question and answers, or DPR's two columns; with --qrels also _id and text. To load "
        "passages: "
        f"rdr-qdrant ingest {path} -c NAME."
    )


def _parse_literal(text: str) -> Any:
    """Parse a Python literal as data; nothing is evaluated."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about backslashes: 'AC\DC'
            return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise RowError("the answers are not a Python list such as ['Paris']") from None


def _parse_question(
    text: Any, answers: Any, path: Path, line: int, reject: RejectHandler
) -> Question:
    """Build a question with its usable answers and pass the others to `reject`.

    An empty answer would be found in every passage. A question without usable answers is kept,
    since leaving it out would raise the recall of the rest.
    """
    if not isinstance(text, str) or not text.strip():
        raise RowError("no question")
    if not isinstance(answers, list | tuple):
        if isinstance(answers, str):
            raise RowError(
                f"the answers are a string, not a list: write {json.dumps([answers[:40]])}"
            )
        raise RowError('no list of answers, such as "answers": ["Paris"]')
    check_json(text)
    usable = []
    for answer in answers:
        if isinstance(answer, str) and answer.strip():
            check_json(answer)
            usable.append(answer)
        else:
            fault = "is empty" if isinstance(answer, str) else "is not a string"
            reject(Reject(str(path), line, f"an answer {fault}", {"question": text}))
    if not answers:
        reject(Reject(str(path), line, "no answer, counts as not found", {"question": text}))
    return Question(text, tuple(usable), str(path), line)
