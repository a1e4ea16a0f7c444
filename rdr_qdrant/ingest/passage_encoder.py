"""The encoder that a job needs: a pair, precomputed vectors, or encoders in other processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rdr_qdrant.ingest.records import EmbeddedBatch, PendingPoint, TokenizedBatch
from rdr_qdrant.passages import Passage
from rdr_qdrant.registry import PairIdentity
from rdr_qdrant.splitter import TokenCounting

if TYPE_CHECKING:
    from rdr_qdrant.encoding import EncodedBatch, Side


class PassageEncoder(Protocol):
    """Gives passages their vectors; `RDREmbeddings` is one."""

    @property
    def pair_label(self) -> str:
        """Name of the pair, or both ids; known before anything is loaded."""

    def identity(self, *sides: Side) -> PairIdentity:
        """The pair as a collection records it, with probes of these sides (default both)."""

    def fingerprint(self) -> str:
        """A digest of everything besides the passage that a vector depends on."""

    def token_counter(self) -> TokenCounting | None:
        """Counts the tokens of texts that are to be split; `None` if nothing is split here."""

    def passages_at_a_time(self) -> int:
        """How many passages it should be given at a time; asked once the target is prepared."""

    def tokenize_passages(self, passages: Sequence[Passage]) -> Any:
        """The passages as `encode_batches` takes them; may run beside it, in another thread."""

    def encode_batches(self, tokens: Any) -> Iterator[EncodedBatch]:
        """Their vectors, float32, some of them at a time and in any order."""


def tokenize(encoder: PassageEncoder, points: Sequence[PendingPoint]) -> TokenizedBatch:
    """Pending points, ready for the encoder."""
    passages = [point.record.passage for point in points]
    return TokenizedBatch(points, encoder.tokenize_passages(passages))


def embed(encoder: PassageEncoder, batch: TokenizedBatch) -> Iterator[EmbeddedBatch]:
    """The points of a batch with their vectors, some at a time, as soon as they are ready."""
    for encoded in encoder.encode_batches(batch.tokens):
        points = [batch.points[position] for position in encoded.positions]
        yield EmbeddedBatch(points, encoded.vectors, encoded.truncated)


def embed_in_order(encoder: PassageEncoder, batch: TokenizedBatch) -> Iterator[EmbeddedBatch]:
    """The points of a batch with their vectors, all at once and in their order."""
    vectors: Any = None
    truncated = [False] * len(batch.points)
    for encoded in encoder.encode_batches(batch.tokens):
        if vectors is None:
            vectors = np.empty((len(batch.points), encoded.vectors.shape[1]), dtype=np.float32)
        vectors[encoded.positions] = encoded.vectors
        for position, cut in zip(encoded.positions, encoded.truncated, strict=True):
            truncated[position] = cut
    yield EmbeddedBatch(batch.points, vectors, truncated)
