"""Counting an encoder's tokens, for a splitter that must not let it truncate anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

MAX_CACHED_WORDS = 500_000
"""Distinct words whose tokens are remembered: about 60 MB."""


class TokenCounter:
    """Counts tokens word by word, which is exact: BERT's tokenizers never look beyond white space.

    A pickled copy brings the tokenizer along, so that another process needs none of its files.

    Args:
        load: gives the encoder's `tokenizers.Tokenizer` without truncation, when first needed.
        max_length: most tokens of an input, special tokens included.
    """

    def __init__(self, load: Callable[[], Any], max_length: int) -> None:
        self._load = load
        self._max_length = max_length
        self._tokens_by_word: dict[str, int] = {}

    def __reduce__(self) -> Any:
        return _with_tokenizer, (self._tokenizer, self._max_length)

    @cached_property
    def _tokenizer(self) -> Any:
        return self._load()

    def count(self, words: Sequence[str]) -> int:
        """The tokens of some whitespace-separated words, special tokens not included."""
        try:
            return sum(map(self._tokens_by_word.__getitem__, words))
        except KeyError:
            self._learn(words)
            return sum(map(self._tokens_by_word.__getitem__, words))

    def text_budget(self, title: str) -> int:
        """The most tokens of a text beside this title that are not truncated.

        `[CLS] title [SEP] text [SEP]`, or `[CLS] text [SEP]`. Of a title that takes more than half,
        the encoder truncates the title first (longest-first), so half is always left.
        """
        if not title.strip():
            return self._max_length - 2
        left = self._max_length - 3
        return max(left - self.count(title.split()), left // 2)

    def _learn(self, words: Sequence[str]) -> None:
        if len(self._tokens_by_word) > MAX_CACHED_WORDS:
            self._tokens_by_word.clear()
        new = list({word for word in words if word not in self._tokens_by_word})
        encodings = self._tokenizer.encode_batch_fast(new, add_special_tokens=False)
        for word, encoding in zip(new, encodings, strict=True):
            self._tokens_by_word[word] = len(encoding.ids)


def _with_tokenizer(tokenizer: Any, max_length: int) -> TokenCounter:
    return TokenCounter(lambda: tokenizer, max_length)
