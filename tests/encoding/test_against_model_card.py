"""The rules of docs/encoding.md, checked against the model card's code on the same checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rdr_qdrant import Passage, RDREmbeddings
from rdr_qdrant.encoding import Side
from rdr_qdrant.encoding.demo_model import demo_encoder
from tests.checkpoints import ModelCard, write_pair

TOLERANCE = 1e-5

LONG = "the river of the north and the king of the city " * 60
PASSAGES = [
    Passage("1", "the river is in the north", "river"),
    Passage("2", "the king found the old city", ""),
    Passage("3", "  a text with space around it \n", "the title"),
    Passage("4", LONG, "the long river"),
    Passage("5", "short text", LONG),
    Passage("6", LONG, LONG),
    Passage("7", "中国 and αβ дж é", "e\u0301 \u4e2d"),
    Passage("8", "smile \U0001f600 \U0001f469\u200d\U0001f52c", "\U0001f1eb\U0001f1ee"),
    Passage("9", "zero\u200bwidth\u200d joined\ufeff and \x07 bell \x00 null", "tab\tin title"),
    Passage("10", "a literal [SEP] inside and [CLS] too", "[SEP] title"),
    Passage("14", "a literal [PAD] [PAD] and [MASK] inside", "[PAD] title"),
    Passage("11", "\u200b", "only a zero width space"),
    Passage("12", "combining a\u0300\u0301\u0302\u0303 marks", "   "),
    Passage("13", "a", "b"),
    Passage("15", "  \n\t ", "only a title"),
    Passage("16", " \u00a0 ", ""),
]
QUESTIONS = ["who found the river?", "  what\u2019s the king\u2019s name? ", "中 [SEP] x", LONG]


def oracle_parts(passage: Passage) -> tuple[str, ...]:
    text = passage.text.strip()
    return (passage.title, text) if passage.title.strip() else (text,)


@pytest.fixture(
    scope="module",
    params=[{}, {"projection": 24}, {"hidden": 64, "layers": 1}, {"layers": 4, "seed": 3}],
    ids=["plain", "projection", "wide", "deep"],
)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    return write_pair(tmp_path_factory.mktemp("pair"), **request.param)


def embeddings_of(pair: tuple[str, str], **options: int) -> RDREmbeddings:
    return RDREmbeddings(context_encoder=pair[0], question_encoder=pair[1], **options)


def test_passages_are_encoded_as_the_model_card_does(pair: tuple[str, str]) -> None:
    oracle = ModelCard(Side.CONTEXT, pair[0])
    expected = np.stack([oracle.encode(*oracle_parts(p)) for p in PASSAGES])
    assert np.abs(embeddings_of(pair).encode_passages(PASSAGES) - expected).max() < TOLERANCE


def test_questions_are_encoded_as_the_model_card_does(pair: tuple[str, str]) -> None:
    oracle = ModelCard(Side.QUESTION, pair[1])
    expected = np.stack([oracle.encode(q.strip().replace("\u2019", "'")) for q in QUESTIONS])
    assert np.abs(embeddings_of(pair).encode_questions(QUESTIONS) - expected).max() < TOLERANCE


def test_a_typographic_apostrophe_in_a_question_is_a_plain_one(tiny: RDREmbeddings) -> None:
    assert tiny.embed_query("the king\u2019s city") == tiny.embed_query("the king's city")
    typographic, plain = tiny.embed_documents(["the king\u2019s city", "the king's city"])
    assert typographic != plain


def test_a_vector_does_not_depend_on_the_batch(tiny: RDREmbeddings) -> None:
    together = tiny.encode_passages(PASSAGES * 3)
    alone = np.concatenate([tiny.encode_passages([passage]) for passage in PASSAGES * 3])
    assert np.abs(together - alone).max() < TOLERANCE


def test_results_keep_the_order_of_the_input(tiny: RDREmbeddings) -> None:
    backwards = tiny.encode_passages(PASSAGES[::-1])
    assert np.abs(backwards[::-1] - tiny.encode_passages(PASSAGES)).max() < TOLERANCE


def test_vectors_are_not_normalised(tiny: RDREmbeddings) -> None:
    norms = np.linalg.norm(tiny.encode_passages(PASSAGES), axis=1)
    assert norms.std() > 0.01


def test_truncated_passages_are_counted(tiny: RDREmbeddings) -> None:
    encoded = tiny.encode_passages_counted(PASSAGES)
    assert [p.id for p, cut in zip(PASSAGES, encoded.truncated, strict=True) if cut] == [
        "4",
        "5",
        "6",
    ]


@pytest.mark.parametrize("words", [253, 254, 255, 300])
def test_an_input_is_at_most_256_tokens_and_ends_in_sep(
    tiny: RDREmbeddings, tiny_pair: tuple[str, str], words: int
) -> None:
    text = "river " * words
    encoded = tiny.encode_passages_counted([Passage("1", text)])
    oracle = ModelCard(Side.CONTEXT, tiny_pair[0])
    kept = " ".join(["river"] * min(words, 254))
    assert np.abs(encoded.vectors[0] - oracle.encode(kept, max_length=512)).max() < TOLERANCE
    assert encoded.truncated == [words > 254]


def test_a_smaller_max_length_truncates_earlier(tiny_pair: tuple[str, str]) -> None:
    oracle = ModelCard(Side.CONTEXT, tiny_pair[0])
    expected = oracle.encode("the long river", LONG, max_length=40)
    found = embeddings_of(tiny_pair, max_length=40).encode_passages([PASSAGES[3]])[0]
    assert np.abs(found - expected).max() < TOLERANCE


def test_both_sides_differ(tiny: RDREmbeddings) -> None:
    text = "the river is in the north"
    difference = np.array(tiny.embed_query(text)) - np.array(tiny.embed_documents([text])[0])
    assert np.abs(difference).max() > 0.1


def test_the_demo_pair_is_encoded_as_the_model_card_does(demo: RDREmbeddings) -> None:
    oracle = ModelCard(Side.CONTEXT, demo_encoder(Side.CONTEXT))
    expected = np.stack([oracle.encode(*oracle_parts(p)) for p in PASSAGES])
    assert np.abs(demo.encode_passages(PASSAGES) - expected).max() < TOLERANCE


def test_no_texts_make_no_vectors(tiny: RDREmbeddings) -> None:
    assert tiny.encode_passages([]).shape == (0, 32)
    assert tiny.embed_documents([]) == []


def test_a_tokenizer_file_with_padding_and_truncation_of_its_own_changes_nothing(
    tiny_pair: tuple[str, str], tmp_path: Path
) -> None:
    import shutil

    from transformers import AutoTokenizer

    plain = embeddings_of(tiny_pair)
    for folder in tiny_pair:
        copy = tmp_path / Path(folder).name
        shutil.copytree(folder, copy)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.backend_tokenizer.enable_truncation(16)
        tokenizer.backend_tokenizer.enable_padding(length=128)
        tokenizer.backend_tokenizer.save(str(copy / "tokenizer.json"))
    padded = embeddings_of((str(tmp_path / "context"), str(tmp_path / "question")))
    assert np.array_equal(padded.encode_passages(PASSAGES), plain.encode_passages(PASSAGES))
