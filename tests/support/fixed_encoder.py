"""An encoder that gives passages the vectors that a test names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.server import DrawnVectors
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


class FixedEncoder(DrawnVectors):
    """Gives passage n the n-th vector; `part` of them at a time, the last ones first."""

    def __init__(self, vectors: np.ndarray, part: int = 2) -> None:
        super().__init__(vectors.shape[1])
        self.vectors, self.part = vectors, part

    def identity(self, *sides: Side) -> PairIdentity:
        return replace(IDENTITY, dimension=self.dimension)

    def vector(self, passage_id: str) -> np.ndarray:
        return self.vectors[int(passage_id.partition("#")[0])]

    def encode_batches(self, tokens: list[str]) -> Iterator[EncodedBatch]:
        positions = list(range(len(tokens)))[::-1]
        for start in range(0, len(tokens), self.part):
            part = positions[start : start + self.part]
            for batch in super().encode_batches([tokens[position] for position in part]):
                yield replace(batch, positions=part)


def passages_for(vectors: Sequence[object]) -> list[Passage]:
    """A passage for each vector."""
    return [Passage(str(n), f"text {n}") for n in range(len(vectors))]
