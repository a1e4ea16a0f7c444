"""Tokenizing inputs by DPR's rules (rules 1 and 3 of docs/encoding.md)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdr_qdrant.encoding.token_ids import TokenIds

EncoderInput = str | tuple[str, str]
"""A text, or a title and a text."""


@dataclass(frozen=True)
class Tokens:
    """Token ids of a list of inputs, perhaps in another order.

    Attributes:
        ids: the ids of the inputs, each from `[CLS]` to the last `[SEP]`, at most `max_length`.
        truncated: for each of them whether it was truncated.
        positions: of each of them in the list of inputs; `None` if they stand in their order.
    """

    ids: TokenIds
    truncated: list[bool]
    positions: list[int] | None = None

    def longest_first(self) -> Tokens:
        """Return the same, the longest inputs first, so that batches of like length are slices."""
        order = np.argsort(-self.ids.lengths, kind="stable").tolist()
        return Tokens(self.ids.select(order), [self.truncated[one] for one in order], order)


class InputTokenizer:
    """`[CLS] title [SEP] text [SEP]` or `[CLS] text [SEP]`, truncated longest-first.

    As DPR's `BertTensorizer.text_to_tensor` does. Segment ids are not returned: all are zero.

    Args:
        tokenizer: a `tokenizers.Tokenizer`; a copy is used.
        max_length: maximum number of tokens of an input, special tokens included.
    """

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self._tokenizer = copy.deepcopy(tokenizer)
        self._tokenizer.enable_truncation(max_length, strategy="longest_first")

    def __call__(self, inputs: Sequence[EncoderInput]) -> Tokens:
        """Tokenize inputs; titles must not be empty, texts must be stripped."""
        encodings = self._tokenizer.encode_batch_fast(list(inputs))
        return Tokens(
            ids=TokenIds.concatenate(encoding.ids for encoding in encodings),
            truncated=[bool(encoding.overflowing) for encoding in encodings],
        )


def passage_input(title: str, text: str) -> EncoderInput:
    """Return the context encoder's input for a passage.

    A passage without a text is its title alone, as in the model card's code.
    """
    text = text.strip()
    if title.strip():
        return (title, text) if text else title
    return text


def question_input(question: str) -> str:
    """Return the question encoder's input: a typographic apostrophe becomes `'`, as in DPR.

    A lone surrogate, which no tokenizer takes, becomes a question mark.
    """
    return question.encode("utf-8", "replace").decode("utf-8").strip().replace("\u2019", "'")
