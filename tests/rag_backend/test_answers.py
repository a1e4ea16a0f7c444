from __future__ import annotations

import pytest

from examples.rag_backend.extractive_answer import best_sentences, split_sentences
from examples.rag_backend.generated_answer import cited_passages
from rdr_qdrant import Passage, RDREmbeddings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One is here. Two is there!  Three?", ["One is here.", "Two is there!", "Three?"]),
        ("Dr. Who met J. R. R. Tolkien. They ate.", ["Dr. Who met J. R. R. Tolkien.", "They ate."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("It cost 3.5 m, i.e. much. 240 came.", ["It cost 3.5 m, i.e. much.", "240 came."]),
        ("The U.S. Army came. It left.", ["The U.S. Army came.", "It left."]),
        ("河は長い。海は広い。", ["河は長い。", "海は広い。"]),
        ("A heading\n\nA text under it", ["A heading", "A text under it"]),
        ("no end", ["no end"]),
        ("  ", []),
        ("", []),
    ],
)  # fmt: skip
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in split_sentences(text)] == expected


def test_the_best_sentence_of_each_passage_best_first(demo: RDREmbeddings) -> None:
    passages = [
        Passage("1", "Bread is baked in an oven. The dough needs salt.", "Bread"),
        Passage("2", "It is in Rome. The Colosseum was built of stone in 80 AD.", "Colosseum"),
        Passage("3", "", "Empty"),
    ]
    best = best_sentences(demo, "When was the Colosseum built?", passages)
    assert [quote.passage for quote in best] == [1, 0]
    assert best[0].text == "The Colosseum was built of stone in 80 AD."
    assert passages[1].text[best[0].start : best[0].end] == best[0].text
    assert best[0].score > best[1].score
    assert best_sentences(demo, "When?", passages[2:]) == []


def test_citations_are_those_of_passages_that_exist() -> None:
    assert cited_passages("Yes [2], and [1][2]; [0] and [7] do not exist.", 3) == [2, 1]
