"""A tokenizer does what the checkpoint's own files say, or the checkpoint is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import BertWordPieceTokenizer
from transformers import BertTokenizer

from rdr_qdrant import Passage, RDREmbeddings
from rdr_qdrant.encoding import Side
from rdr_qdrant.encoding.tokenizer_files import load_tokenizer
from rdr_qdrant.errors import ModelError
from tests.checkpoints import CLASSES, write_pair

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] paris ist schön schon Paris Schön Schon 中 国 中国 x".split()
)
TEXT = "Paris ist Schön 中国"
CASED = "[CLS] Paris ist Schön 中 国 [SEP]"
UNCASED = "[CLS] paris ist schon 中 国 [SEP]"


def write_vocabulary(folder: Path) -> None:
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")


def write_settings(folder: Path, **settings: Any) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write_serialized(folder: Path, normalizer: Any = None, **options: Any) -> None:
    """tokenizer.json, as `tokenizers` saves it; `normalizer` replaces its own."""
    file = folder / "tokenizer.json"
    BertWordPieceTokenizer({word: i for i, word in enumerate(WORDS)}, **options).save(str(file))
    if normalizer is not None:
        content = json.loads(file.read_text()) | {"normalizer": normalizer}
        file.write_text(json.dumps(content))


def tokens(folder: Path, text: str = TEXT) -> str:
    return " ".join(load_tokenizer(folder, len(WORDS)).encode(text).tokens)


@pytest.mark.parametrize(
    "name", [None, "BertTokenizer", "DPRContextEncoderTokenizer", "DPRQuestionEncoderTokenizerFast"]
)
def test_a_cased_vocabulary_is_not_lowercased(tmp_path: Path, name: str | None) -> None:
    write_vocabulary(tmp_path)
    write_settings(tmp_path, do_lower_case=False, tokenizer_class=name)
    assert tokens(tmp_path) == CASED


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, UNCASED),
        ({"do_lower_case": True}, UNCASED),
        ({"strip_accents": False}, "[CLS] paris ist schön 中 国 [SEP]"),
        ({"do_lower_case": False, "strip_accents": True}, "[CLS] Paris ist Schon 中 国 [SEP]"),
        ({"tokenize_chinese_chars": False}, "[CLS] paris ist schon 中国 [SEP]"),
    ],
)
def test_settings_of_a_vocabulary_are_followed(
    tmp_path: Path, settings: dict[str, bool], expected: str
) -> None:
    write_vocabulary(tmp_path)
    write_settings(tmp_path, **settings)
    assert tokens(tmp_path) == expected


@pytest.mark.parametrize("with_vocabulary", [True, False])
@pytest.mark.parametrize("with_settings", [True, False])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, UNCASED),
        ({"lowercase": False}, CASED),
        ({"strip_accents": False}, "[CLS] paris ist schön 中 国 [SEP]"),
        ({"handle_chinese_chars": False}, "[CLS] paris ist schon 中国 [SEP]"),
        (
            {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]}},
            "[CLS] Paris ist Schön 中国 [SEP]",
        ),
        ({"normalizer": {"type": "Lowercase"}}, "[CLS] paris ist schön 中国 [SEP]"),
    ],
)
def test_the_normalizer_in_tokenizer_json_is_used(
    tmp_path: Path,
    options: dict[str, Any],
    expected: str,
    with_vocabulary: bool,
    with_settings: bool,
) -> None:
    write_serialized(tmp_path, **options)
    if with_vocabulary:
        write_vocabulary(tmp_path)
    if with_settings:
        write_settings(tmp_path, model_max_length=512, strip_accents=None)
    assert tokens(tmp_path) == expected


@pytest.mark.parametrize("lowercase", [True, False])
def test_explicit_settings_override_tokenizer_json(tmp_path: Path, lowercase: bool) -> None:
    """As in transformers 4, which checkpoints were trained with."""
    write_serialized(tmp_path, lowercase=not lowercase)
    write_settings(tmp_path, do_lower_case=lowercase)
    assert tokens(tmp_path) == (UNCASED if lowercase else CASED)


def test_a_cased_pair_has_the_vectors_of_its_cased_tokens(tmp_path: Path) -> None:
    folders = [Path(folder) for folder in write_pair(tmp_path)]
    for folder in folders:
        words = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
        cased = [word.capitalize() if word.isalpha() and len(word) > 1 else word for word in words]
        (folder / "vocab.txt").write_text("\n".join(cased), encoding="utf-8")
        write_settings(folder, do_lower_case=False)
    pair = RDREmbeddings(context_encoder=str(folders[0]), question_encoder=str(folders[1]))
    model = CLASSES[Side.CONTEXT].from_pretrained(folders[0]).eval()
    ids = torch.tensor([[2, words.index("river"), 3, words.index("king"), words.index("city"), 3]])
    with torch.no_grad():
        expected = model(ids, token_type_ids=torch.zeros_like(ids)).pooler_output[0].numpy()
    found = pair.encode_passages([Passage("1", "King City", "River")])[0]
    assert np.abs(found - expected).max() < 1e-5
    assert pair.embed_query("King City") != pair.embed_query("king city")


def refused(folder: Path, message: str, vocab_size: int = len(WORDS)) -> None:
    with pytest.raises(ModelError, match=message) as error:
        load_tokenizer(folder, vocab_size)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("name", ["BertJapaneseTokenizer", "XLMRobertaTokenizer"])
def test_another_tokenizer_class_is_refused(tmp_path: Path, name: str) -> None:
    write_vocabulary(tmp_path)
    write_settings(tmp_path, tokenizer_class=name)
    refused(tmp_path, f"names {name}, but only BERT's")


def test_a_tokenizer_without_basic_tokenization_is_refused(tmp_path: Path) -> None:
    write_vocabulary(tmp_path)
    write_settings(tmp_path, do_basic_tokenize=False)
    refused(tmp_path, "sets do_basic_tokenize to false")


def test_files_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    write_serialized(tmp_path)
    words = [*WORDS[:5], *reversed(WORDS[5:])]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    refused(tmp_path, "contradict each other: the token 'x' is 5 in one and 15 in the other")


def test_a_tokenizer_json_without_special_tokens_around_the_text_is_refused(tmp_path: Path) -> None:
    write_serialized(tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"post_processor": None}))
    refused(tmp_path, r"does not write a passage as \[CLS\] title \[SEP\] text \[SEP\]")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"among its 0 tokens there is no \[PAD\], \[UNK\], \[CLS\], \[SEP\]"),
        (b"no\nvocabulary\nat all\n", "is not BERT's vocabulary: among its 3 tokens"),
        ("\n".join(WORDS).replace("[UNK]", "<unk>").encode(), r"there is no \[UNK\]"),
        (bytes(range(256)), "is not UTF-8 text with one token per line"),
        ("\n".join(WORDS).encode("utf-16"), "is not UTF-8 text with one token per line"),
        ("\n".join(WORDS[:9]).encode(), "truncated or belongs to another model"),
    ],
)
def test_a_garbage_vocabulary_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "vocab.txt").write_bytes(content)
    refused(tmp_path, message)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_garbage_json_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    write_vocabulary(tmp_path)
    (tmp_path / name).write_bytes(content)
    refused(tmp_path, f"{name} is not a JSON object")


def test_a_json_object_that_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    refused(tmp_path, r"tokenizer.json is not a tokenizer \(")


def test_missing_files_are_named(tmp_path: Path) -> None:
    refused(tmp_path, "has no vocabulary. Copy vocab.txt or tokenizer.json")


@pytest.mark.parametrize(
    ("vocab_size", "accepted"),
    [(114, False), (115, True), (116, True), (117, False), (120, True), (128, False)],
)
def test_embeddings_may_be_padded(tiny_pair: Any, vocab_size: int, accepted: bool) -> None:
    folder = Path(tiny_pair[0])
    if accepted:
        assert load_tokenizer(folder, vocab_size).get_vocab_size() == 115
    else:
        refused(folder, f"has 115 tokens, its model {vocab_size} token embeddings", vocab_size)


def test_stored_truncation_and_padding_are_removed(tmp_path: Path, tiny_pair: Any) -> None:
    shutil.copyfile(Path(tiny_pair[0]) / "vocab.txt", tmp_path / "vocab.txt")
    tokenizer = load_tokenizer(tmp_path, 115)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=40)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert len(load_tokenizer(tmp_path, 115).encode("the river is in the north").ids) == 8


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_lower_case": False, "model_max_length": 512, "unk_token": "[UNK]"},
        {"strip_accents": False, "tokenize_chinese_chars": False, "never_split": None},
        {"mask_token": "paris"},
        {"additional_special_tokens": ["Paris"]},
        {"cls_token": {"__type": "AddedToken", "content": "[CLS]", "lstrip": True}},
    ],
)
def test_a_vocabulary_is_read_as_transformers_reads_it(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    write_vocabulary(tmp_path)
    write_settings(tmp_path, **settings)
    theirs = BertTokenizer.from_pretrained(tmp_path).backend_tokenizer
    ours = load_tokenizer(tmp_path, len(WORDS))
    assert ours.get_vocab() == theirs.get_vocab()
    texts = [
        *(
            TEXT,
            "",
            " \t",
            "a [MASK] b [SEP]\u200b[PAD]",
            "\x07e\u0301 Paris-paris\u00a0x",
            "[CLS]x",
        ),
        "paris ist sch\u00f6n [mask] \U0001f600 \ufeffx [UNK]paris" * 3,
    ]
    for text in texts:
        for parts in ((text,), ("[PAD] paris", text)):
            assert ours.encode(*parts).ids == theirs.encode(*parts).ids, text
