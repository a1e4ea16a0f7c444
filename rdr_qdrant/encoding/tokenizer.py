"""Text to token ids by DPR's rules (rules 1 and 3 of "What is exact")."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

EncoderInput = str | tuple[str, str]
"""A text, or a title and a text."""


@dataclass(frozen=True)
class Tokens:
    """Token ids of some inputs.

    Attributes:
        ids: for each input its ids, from `[CLS]` to the last `[SEP]`, at most `max_length`.
        truncated: for each input whether it was cut.
    """

    ids: list[list[int]]
    truncated: list[bool]


class InputTokenizer:
    """`[CLS] title [SEP] text [SEP]` or `[CLS] text [SEP]`, cut longest-first to `max_length`.

    As DPR's `BertTensorizer.text_to_tensor` does. Segment ids are not made: they are all zero.
    """

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self._tokenizer = copy.deepcopy(tokenizer)
        self._tokenizer.enable_truncation(max_length, strategy="longest_first")

    def __call__(self, inputs: Sequence[EncoderInput]) -> Tokens:
        """Tokenise; a title must not be empty, a text is expected to be stripped."""
        encodings = self._tokenizer.encode_batch_fast(list(inputs))
        return Tokens(
            ids=[encoding.ids for encoding in encodings],
            truncated=[bool(encoding.overflowing) for encoding in encodings],
        )


def passage_input(title: str, text: str) -> EncoderInput:
    """What the context encoder reads of a passage.

    Where there is no text, the title is all there is: so the model card's own code has it.
    """
    text = text.strip()
    if title.strip():
        return (title, text) if text else title
    return text


def question_input(question: str) -> str:
    """What the question encoder reads: a typographic apostrophe becomes `'`, as in DPR."""
    return question.strip().replace("\u2019", "'")
