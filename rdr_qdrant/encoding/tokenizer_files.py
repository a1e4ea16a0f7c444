"""Loading a checkpoint's tokenizer exactly as its files describe it (rule 8 of docs/encoding.md).

`AutoTokenizer` is not exact in transformers 5: for a DPR config it picks DPR's tokenizer classes,
which ignore `do_lower_case: false`, and all of BERT's classes rebuild the normalizer instead of
reading it from tokenizer.json. Cased checkpoints would be lowercased without a word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import ModelError

VOCABULARY, SERIALIZED, SETTINGS = "vocab.txt", "tokenizer.json", "tokenizer_config.json"
SPECIAL, ADDED = "special_tokens_map.json", "added_tokens.json"
TOKENIZER_FILES = (VOCABULARY, SERIALIZED, SETTINGS, SPECIAL, ADDED)

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MASK = "[MASK]"

NORMALIZER_SETTINGS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
"""Settings of tokenizer_config.json and their names in tokenizer.json's `BertNormalizer`."""

PADDED_TO = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Models may have up to 10 % of embeddings without a token, up to the next multiple of one of
these. If others are unused, the vocabulary is truncated or another model's."""


def load_tokenizer(folder: Path, vocab_size: int) -> Any:
    """Return the `tokenizers.Tokenizer` of a checkpoint folder, without truncation and padding.

    tokenizer.json is used as it is, except that explicit settings in tokenizer_config.json override
    its normalizer, as in transformers 4. Without tokenizer.json it is BERT's tokenizer on vocab.txt
    with the settings in tokenizer_config.json.

    Args:
        folder: the folder with the tokenizer's files.
        vocab_size: number of the model's token embeddings.

    Raises:
        ModelError: the files are missing, damaged, contradict each other, belong to another model,
            or describe another tokenizer than BERT's.
    """
    settings = _read_json(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    vocabulary = _read_vocabulary(folder / VOCABULARY)
    if (folder / SERIALIZED).is_file():
        tokenizer = _from_serialized(folder, settings)
        _check_same_ids(folder, tokenizer, vocabulary)
    elif vocabulary:
        tokenizer = _from_vocabulary(folder, settings, vocabulary)
    else:
        raise ModelError(
            f"{folder} has no vocabulary. Copy vocab.txt or tokenizer.json of the encoder into it."
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    _check(folder, tokenizer, vocab_size)
    return tokenizer


def _from_serialized(folder: Path, settings: Mapping[str, Any]) -> Any:
    from tokenizers import Tokenizer

    serialized = _read_json(folder / SERIALIZED)
    normalizer = serialized.get("normalizer")
    if isinstance(normalizer, dict):
        for setting, name in NORMALIZER_SETTINGS.items():
            if name in normalizer and settings.get(setting) is not None:
                normalizer[name] = settings[setting]
    try:
        return Tokenizer.from_str(json.dumps(serialized))
    except Exception as error:  # the bindings raise bare `Exception`
        raise ModelError(
            f"{folder / SERIALIZED} is not a tokenizer ({error}). Download the encoder again."
        ) from None


def _from_vocabulary(folder: Path, settings: Mapping[str, Any], vocabulary: list[str]) -> Any:
    name = str(settings.get("tokenizer_class") or "BertTokenizer").removesuffix("Fast")
    if not name.startswith(("Bert", "DPR")) or name.startswith("BertJapanese"):
        raise ModelError(
            f"{folder / SETTINGS} names {name}, but only BERT's tokenizer can be made from "
            f"{VOCABULARY}. Add the encoder's {SERIALIZED}."
        )
    if settings.get("do_basic_tokenize") is False:
        raise ModelError(
            f"{folder / SETTINGS} sets do_basic_tokenize to false, which is not supported. "
            f"Add the encoder's {SERIALIZED}."
        )
    if MASK in vocabulary and not _names_other_tokens(folder, settings):
        from tokenizers import BertWordPieceTokenizer, Tokenizer

        given = {
            name: settings[setting]
            for setting, name in NORMALIZER_SETTINGS.items()
            if settings.get(setting) is not None
        }
        ids = {token: number for number, token in enumerate(vocabulary)}
        return Tokenizer.from_str(BertWordPieceTokenizer(ids, **given).to_str())
    from transformers import BertTokenizer  # takes a second

    return BertTokenizer.from_pretrained(folder).backend_tokenizer


def _names_other_tokens(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Return whether the files name special tokens besides BERT's own, or add any token."""
    if (folder / ADDED).is_file():
        return True
    named = dict(settings)
    if (folder / SPECIAL).is_file():
        named |= _read_json(folder / SPECIAL)
    usual = {f"{token.strip('[]').lower()}_token": token for token in (*SPECIAL_TOKENS, MASK)}
    return any(
        value and value != usual.get(name)
        for name, value in named.items()
        if name.endswith("_token") or "_tokens" in name or name == "never_split"
    )


def _read_vocabulary(file: Path) -> list[str]:
    """Return the tokens of vocab.txt in the order of their ids; none if it is missing."""
    if not file.is_file():
        return []
    try:
        with file.open(encoding="utf-8") as lines:
            tokens = [line.rstrip("\n") for line in lines]
    except UnicodeDecodeError:
        raise ModelError(
            f"{file} is not UTF-8 text with one token per line. Download the encoder again."
        ) from None
    _check_special_tokens(file, set(tokens))
    return tokens


def _check_special_tokens(file: Path, tokens: set[str] | dict[str, int]) -> None:
    if missing := [token for token in SPECIAL_TOKENS if token not in tokens]:
        raise ModelError(
            f"{file} is not BERT's vocabulary: among its {len(tokens):,} tokens there is no "
            f"{', '.join(missing)}. Download the encoder again."
        )


def _check_same_ids(folder: Path, tokenizer: Any, vocabulary: list[str]) -> None:
    ids = {token: number for number, token in enumerate(vocabulary) if token}
    for token, number in ids.items():
        if (found := tokenizer.token_to_id(token)) != number:
            raise ModelError(
                f"{VOCABULARY} and {SERIALIZED} in {folder} contradict each other: the token "
                f"{token!r} is {number} in one and {found} in the other. Remove the wrong file."
            )


def _check(folder: Path, tokenizer: Any, vocab_size: int) -> None:
    """Check the tokenizer against the model, and the format of its inputs (rule 1)."""
    tokens = tokenizer.get_vocab(with_added_tokens=True)
    _check_special_tokens(folder / SERIALIZED, tokens)
    size = max(tokens.values()) + 1
    padded_sizes = [-(-size // multiple) * multiple for multiple in PADDED_TO]
    if vocab_size not in padded_sizes or 10 * (vocab_size - size) > vocab_size:
        raise ModelError(
            f"The tokenizer in {folder} has {len(tokens):,} tokens, its model {vocab_size:,} token "
            f"embeddings: {VOCABULARY} or {SERIALIZED} is truncated or belongs to another model."
        )
    cls, sep = tokens["[CLS]"], tokens["[SEP]"]
    ids = tokenizer.encode("a", "b").ids
    if ids[0] != cls or ids[-1] != sep or ids.count(sep) != 2:
        raise ModelError(
            f"The tokenizer in {folder} does not write a passage as [CLS] title [SEP] text [SEP]. "
            f"Remove {SERIALIZED} if {VOCABULARY} is there."
        )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ModelError(f"{file} is not a JSON object. Download the encoder again.")
    return content
