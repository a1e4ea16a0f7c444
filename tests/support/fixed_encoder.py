"""An encoder that gives passages the vectors that a test names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rdr_qdrant import Passage
from rdr_qdrant.encoding import EncodedBatch, Side
from rdr_qdrant.registry import PASSAGE_FORMAT, PairIdentity

DIMENSION = 4
IDENTITY = PairIdentity(
    label="fixed",
    context_encoder="fixed-context",
    question_encoder="fixed-question",
    dimension=DIMENSION,
    max_length=256,
    passage_format=PASSAGE_FORMAT,
    probe=(1.0,) * DIMENSION,
    question_probe=(1.0,) * DIMENSION,
    revision=None,
    precision="fp16",
)


@dataclass
class FixedEncoder:
    """Gives passage n the n-th vector; `part` of them at a time, the last ones first."""

    vectors: np.ndarray
    part: int = 2

    pair_label = "drawn"

    def passages_at_a_time(self) -> int:
        return 256

    def token_counter(self) -> None:
        return None

    def identity(self, *sides: Side) -> PairIdentity:
        return replace(IDENTITY, dimension=self.vectors.shape[1])

    def fingerprint(self) -> str:
        return "fixed"

    def tokenize_passages(self, passages: Sequence[Passage]) -> list[int]:
        return [int(passage.id.partition("#")[0]) for passage in passages]

    def encode_batches(self, tokens: list[int]) -> Iterator[EncodedBatch]:
        positions = list(range(len(tokens)))[::-1]
        for start in range(0, len(tokens), self.part):
            part = positions[start : start + self.part]
            rows = self.vectors[[tokens[position] for position in part]]
            yield EncodedBatch(part, rows, [False] * len(part))


def passages_for(vectors: Sequence[object]) -> list[Passage]:
    """A passage for each vector."""
    return [Passage(str(n), f"text {n}") for n in range(len(vectors))]
