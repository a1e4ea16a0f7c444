"""What `feeding.py` loads: passages of 100 words, and an encoder that has their vectors ready."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.server import DrawnVectors
from rdr_qdrant import Passage
from rdr_qdrant.collection.payload import to_payload
from rdr_qdrant.encoding import EncodedBatch
from rdr_qdrant.passages import content_hash

DIMENSION = 768
WINDOW = 4096
"""Passages that are looked up together, as on a GPU."""
BATCH = 256
"""Vectors that the encoder hands out together."""
SOURCE = "passages.jsonl"
FINGERPRINT = "feeding"
DISTINCT = 4096
"""Vectors that differ; passage n has the n-th, from the start again after the last."""

VECTORS = np.random.default_rng(0).standard_normal((DISTINCT, DIMENSION)).astype(np.float32)
_LETTERS = np.random.default_rng(1).integers(97, 123, 200_000).astype(np.uint8).tobytes().decode()
WORDS = [_LETTERS[9 * n : 9 * n + 2 + n % 7] for n in range(20_000)]


def passage(number: int) -> Passage:
    """The passage of this number: 100 words, the last of them the number."""
    start = 37 * number % (len(WORDS) - 100)
    text = " ".join([*WORDS[start : start + 99], str(number)])
    return Passage(str(number), text, WORDS[start])


def payload(number: int) -> dict[str, Any]:
    """The payload of its point."""
    one = passage(number)
    with_source = Passage(one.id, one.text, one.title, {"source": SOURCE})
    return to_payload(with_source, content_hash(one, FINGERPRINT))


class ReadyVectors(DrawnVectors):
    """An encoder that costs nothing."""

    pair_label = "ready"

    def __init__(self) -> None:
        super().__init__(DIMENSION)

    def encoding_threads(self) -> int:
        return 2

    def passages_at_a_time(self) -> int:
        return WINDOW

    def fingerprint(self) -> str:
        return FINGERPRINT

    def tokenize_passages(self, passages: Sequence[Passage]) -> Any:
        return [int(one.id) for one in passages]

    def encode_batches(self, tokens: Any) -> Iterator[EncodedBatch]:
        for start in range(0, len(tokens), BATCH):
            part = tokens[start : start + BATCH]
            rows = VECTORS[[one % DISTINCT for one in part]]
            yield EncodedBatch(list(range(start, start + len(part))), rows, [False] * len(part))
