"""The passages that a load would make of its sources, and how large they are."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from rdr_qdrant.errors import SourceError
from rdr_qdrant.ingest.partitions import ReadOptions, partition_of
from rdr_qdrant.passages import Passage
from rdr_qdrant.readers import PassageSource, RejectHandler
from rdr_qdrant.splitter import SplitRecord, SplitSettings, Splitter, TokenCounting

SCRAP_WORDS = 20
"""A passage of fewer words says little, but its title brings it to the top of results."""
QUANTILES = (5, 50, 95)


@dataclass(frozen=True, slots=True)
class PassageSizes:
    """How large passages are.

    Attributes:
        passages: how many there are.
        words: their words, at the 5th, 50th and 95th percentile.
        tokens: their tokens in the same way, those of the title and special tokens included.
        under_20_words: passages of fewer than 20 words.
        truncated: passages of more tokens than the encoder reads.
    """

    passages: int
    words: tuple[int, ...]
    tokens: tuple[int, ...]
    under_20_words: int
    truncated: int


@dataclass(kw_only=True)
class SplitPreview:
    """Reads sources as a load does, and measures their passages.

    Args:
        sources: from `open_source`.
        options: how they are read and split.
        tokens: counts the encoder's tokens.
        max_length: most tokens of an input.
        on_reject: called with each row or document that cannot be used.
    """

    sources: Sequence[PassageSource]
    options: ReadOptions
    tokens: TokenCounting
    max_length: int
    on_reject: RejectHandler

    _words: array[int] = field(init=False, default_factory=lambda: array("q"))
    _tokens: array[int] = field(init=False, default_factory=lambda: array("q"))

    def passages(self) -> Iterator[Passage]:
        """The passages in their order; those that were taken are measured."""
        for source in self.sources:
            for record in partition_of(source, self.options).read(self.on_reject):
                passage = record.passage
                words, title = passage.text.split(), passage.title.split()
                special = 3 if title else 2
                self._words.append(len(words))
                self._tokens.append(self.tokens.count(words) + self.tokens.count(title) + special)
                yield passage

    def sizes(self) -> PassageSizes:
        """The sizes of the passages taken so far."""
        words = np.frombuffer(self._words, dtype=np.int64)
        tokens = np.frombuffer(self._tokens, dtype=np.int64)
        return PassageSizes(
            passages=len(words),
            words=_quantiles(words),
            tokens=_quantiles(tokens),
            under_20_words=int((words < SCRAP_WORDS).sum()),
            truncated=int((tokens > self.max_length).sum()),
        )

    @property
    def record(self) -> SplitRecord:
        """How the sources are split."""
        return self.options.record_of(self.sources)


def measure_texts(
    sources: Sequence[PassageSource], settings: SplitSettings | None, on_reject: RejectHandler
) -> tuple[int, int]:
    """Passages of these sources, and the mean bytes of their texts in UTF-8.

    No tokenizer is needed: passages are split by their words alone, as most are in a load as well.

    Args:
        sources: from `open_source`.
        settings: how texts are split; `None` leaves rows whole.
        on_reject: called with each row or document that cannot be used.

    Raises:
        SourceError: there are no passages.
    """
    options = ReadOptions(Splitter(settings or SplitSettings()), settings is not None)
    count = size = 0
    for source in sources:
        for record in partition_of(source, options).read(on_reject):
            count += 1
            size += len(record.passage.text.encode())
    if not count:
        raise SourceError(f"{', '.join(one.name for one in sources)} holds no passages.")
    return count, max(1, round(size / count))


def sizes_to_json(sizes: PassageSizes) -> dict[str, Any]:
    """The sizes as JSON, percentiles by their names."""
    names = ("5%", "median", "95%")
    plain = asdict(sizes)
    for key in ("words", "tokens"):
        plain[key] = dict(zip(names, plain[key], strict=True))
    return plain


def _quantiles(values: np.ndarray[Any, Any]) -> tuple[int, ...]:
    if not len(values):
        return (0,) * len(QUANTILES)
    return tuple(int(one) for one in np.percentile(values, QUANTILES, method="inverted_cdf"))
