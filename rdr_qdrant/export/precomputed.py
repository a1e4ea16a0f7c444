"""Passages that carry their vectors, and the encoder that hands these to a loader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rdr_qdrant.encoding import EncodedBatch, Side
from rdr_qdrant.encoding.encoder import inputs_at_a_time
from rdr_qdrant.passages import Passage
from rdr_qdrant.registry import PairIdentity


@dataclass(frozen=True, slots=True)
class EmbeddedPassage(Passage):
    """A passage that was encoded before.

    Attributes:
        vector: float32 or float16 [dim].
        truncated: true if only its first `max_length` tokens were encoded.
    """

    vector: Any = field(default=None, compare=False, repr=False)
    truncated: bool = False


class PrecomputedVectors:
    """A `PassageEncoder` that gives passages the vectors that they carry.

    Args:
        identity: of the pair that encoded them.
        fingerprint: of that pair, see `RDREmbeddings.fingerprint`.
    """

    def __init__(self, identity: PairIdentity, fingerprint: str) -> None:
        self._identity = identity
        self._fingerprint = fingerprint

    @property
    def pair_label(self) -> str:
        """Name of the pair, or both ids."""
        return self._identity.label

    def identity(self, *sides: Side) -> PairIdentity:
        """The pair's identity, with probes of these sides (default both)."""
        asked = sides or tuple(Side)
        return replace(
            self._identity,
            probe=self._identity.probe if Side.CONTEXT in asked else (),
            question_probe=self._identity.question_probe if Side.QUESTION in asked else (),
        )

    def fingerprint(self) -> str:
        """A digest of everything besides the passages that the vectors depend on."""
        return self._fingerprint

    def token_counter(self) -> None:
        """Nothing: the texts were split when they were encoded."""

    def passages_at_a_time(self) -> int:
        """As many as a CPU encodes."""
        return inputs_at_a_time("cpu")

    def encoding_threads(self) -> int:
        """One: there is nothing to encode."""
        return 1

    def tokenize_passages(self, passages: Sequence[Passage]) -> Sequence[Passage]:
        """The passages as they are."""
        return passages

    def encode_batches(self, tokens: Sequence[EmbeddedPassage]) -> Iterator[EncodedBatch]:
        """Their vectors, all at once, as float32."""
        yield EncodedBatch(
            positions=list(range(len(tokens))),
            vectors=np.stack([passage.vector for passage in tokens]).astype(np.float32),
            truncated=[passage.truncated for passage in tokens],
        )
