"""The examples' own data: large enough, well formed, and every question can be answered."""

from __future__ import annotations

from rdr_qdrant.cli.demo_command import example_data
from rdr_qdrant.evaluation import first_hit
from rdr_qdrant.readers import Reject, open_source, read_questions


def no_reject(row: Reject) -> None:
    raise AssertionError(row)


def test_passages_are_many_and_of_the_promised_length() -> None:
    passages = list(open_source(example_data() / "passages.tsv").passages(no_reject))
    assert len(passages) >= 200
    assert len({p.title for p in passages}) == len(passages)
    assert all(60 <= len(p.text.split()) <= 120 for p in passages)


def test_every_question_has_an_answer_in_a_passage() -> None:
    texts = [p.text for p in open_source(example_data() / "passages.tsv").passages(no_reject)]
    questions = list(read_questions(example_data() / "questions.tsv", no_reject))
    assert len(questions) >= 400
    assert len({q.text for q in questions}) == len(questions)
    assert [q for q in questions if first_hit(texts, q.answers) is None] == []
