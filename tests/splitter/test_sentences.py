"""Sentences, clauses and words of a text."""

from __future__ import annotations

import time

import pytest

from rdr_qdrant.splitter.sentences import (
    MAX_CHARACTERS_AT_ONCE,
    character_spans,
    clause_spans,
    sentence_spans,
)


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "expected",
    [
        ["Dr. Smith went to the U.S. Army base.", "He met Prof. Lee et al. there."],
        ["It cost 3.14 dollars.", 'He said "No."', "Then he left."],
        ["See Fig. 3 and Sec. 2.1 for more, i.e. the details.", "J. R. R. Tolkien wrote it."],
        ["- first item", "- second item", "- third"],
        ["No end", "Next paragraph\nruns on a line.", "End"],
        ["他去了北京。", "今天天气怎么样？", "很好。"],
        ["彼は東京に行った。", "「本当ですか？」", "と彼女は言った。"],
        ["ذهب إلى السوق.", "هل رأيته؟", "نعم!"],
        ["वह बाज़ार गया।", "क्या तुमने उसे देखा?", "हाँ।"],
        ["Er ist da.", "Das ist gut!", "Wo?"],
        ["He left the town.)", "Then it rained.", "*So he said.*", "_No._", "Yes.”", "The end.)"],
        ["1.) Milch holen.", "2.) Brot kaufen."],
        ["Of a garden.", "11. Chapter 11", "2.1. Installing", "IV. The King", "He got a B."],
    ],
)
def test_sentences_of_many_scripts_are_known(expected: list[str]) -> None:
    separators = [
        "\n\n"
        if one[:2] in ("11", "2.", "IV")
        else "\n"
        if "item" in one
        else "\n\n"
        if one == "No end"
        else " "
        for one in expected
    ]
    text = "".join(one + space for one, space in zip(expected, separators, strict=True))
    assert sentences(f" {text} ") == expected


def test_a_sentence_longer_than_what_is_looked_at_at_once_is_cut_at_a_word() -> None:
    found = sentences("word " * MAX_CHARACTERS_AT_ONCE + "end. Next one.")
    assert found[-1] == "Next one."
    assert all(len(one) <= MAX_CHARACTERS_AT_ONCE for one in found)
    assert {word for one in found for word in one.split()} == {"word", "end.", "Next", "one."}


def test_clauses_end_at_commas_dashes_and_brackets() -> None:
    text = "When it rains, it pours; so (they say) take one – or two，三、四"
    found = [text[start:end] for start, end in clause_spans(text, 0, len(text))]
    clauses = [
        "When it rains,",
        "it pours;",
        "so",
        "(they say)",
        "take one",
        "–",
        "or two，",
        "三、",
        "四",
    ]
    assert found == clauses


def test_marks_stay_with_their_letter() -> None:
    word = "e\u0301" * 8
    assert character_spans(word, 0, len(word), 3) == [(0, 4), (4, 8), (8, 12), (12, 16)]


@pytest.mark.parametrize(
    "piece", ["他。", "“", "“a. ", "a. ", "\n", "\n\n", "(", "x", "Mr. ", "! ", "a,"]
)
def test_no_text_takes_quadratic_time(piece: str) -> None:
    def seconds(characters: int) -> float:
        text = piece * (characters // len(piece))
        started = time.process_time()
        list(sentence_spans(text))
        list(clause_spans(text, 0, len(text)))
        return time.process_time() - started

    seconds(10_000)
    short = min(seconds(25_000) for _ in range(3))
    assert seconds(200_000) < 30 * short + 0.1  # quadratic: 64 times
