"""The encoder that a job needs: a pair, precomputed vectors, or encoders in other processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from rdr_qdrant.encoding import Side
from rdr_qdrant.errors import ModelError
from rdr_qdrant.ingest.records import EmbeddedBatch, PendingPoint, TokenizedBatch
from rdr_qdrant.passages import Passage
from rdr_qdrant.registry import PairIdentity
from rdr_qdrant.splitter import TokenCounting

if TYPE_CHECKING:
    from rdr_qdrant.encoding import EncodedBatch

VectorType = Literal["float32", "float16"]
"""The type in which a sink stores the components of a vector."""


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

    def encoding_threads(self) -> int:
        """How many threads should call `encode_batches` at a time; asked as the one above."""

    def tokenize_passages(self, passages: Sequence[Passage]) -> Any:
        """The passages as `encode_batches` takes them; may run beside it, in another thread."""

    def encode_batches(self, tokens: Any) -> Iterator[EncodedBatch]:
        """Their vectors, float32, some of them at a time and in any order.

        An encoder that overflows may give vectors that are not finite.
        """


def tokenize(
    encoder: PassageEncoder, points: Sequence[PendingPoint], *, is_whole: bool
) -> TokenizedBatch:
    """Pending points, ready for the encoder; `is_whole`: see `TokenizedBatch`."""
    passages = [point.record.passage for point in points]
    return TokenizedBatch(points, encoder.tokenize_passages(passages), is_whole)


def embed(
    encoder: PassageEncoder, batch: TokenizedBatch, vector_type: VectorType
) -> Iterator[EmbeddedBatch]:
    """The points of a batch with their vectors, some at a time, as soon as they are ready.

    The last part has the points whose vectors cannot be stored.

    Raises:
        ModelError: no vector of a whole batch can be stored.
    """
    unstorable: dict[int, PendingPoint] = {}
    for encoded in encoder.encode_batches(batch.tokens):
        part = _storable_part(
            batch, encoded.positions, encoded.vectors, encoded.truncated, vector_type
        )
        unstorable |= part.unstorable
        if part.points:
            yield EmbeddedBatch(part.points, part.vectors, part.truncated)
    if unstorable:
        _check_encoder(encoder, batch, unstorable, vector_type)
        yield EmbeddedBatch([], np.empty((0, 0), dtype=np.float32), [], unstorable)


def embed_in_order(
    encoder: PassageEncoder, batch: TokenizedBatch, vector_type: VectorType
) -> Iterator[EmbeddedBatch]:
    """The points of a batch with their vectors, all at once and in their order.

    Raises:
        ModelError: no vector of a whole batch can be stored.
    """
    vectors: Any = None
    truncated = [False] * len(batch.points)
    for encoded in encoder.encode_batches(batch.tokens):
        if vectors is None:
            vectors = np.empty((len(batch.points), encoded.vectors.shape[1]), dtype=np.float32)
        vectors[encoded.positions] = encoded.vectors
        for position, cut in zip(encoded.positions, encoded.truncated, strict=True):
            truncated[position] = cut
    positions = range(len(batch.points))
    embedded = _storable_part(batch, positions, vectors, truncated, vector_type)
    _check_encoder(encoder, batch, embedded.unstorable, vector_type)
    yield embedded


def unstorable_reason(vector_type: VectorType) -> str:
    """The reason of a reject whose vector cannot be stored."""
    beyond = " or a number beyond 65,504, which float16 cannot hold" * (vector_type == "float16")
    return (
        f"the encoder gives it a vector with NaN or infinity{beyond}: try --precision fp32 or "
        "another --device" + ", or store float32" * (vector_type == "float16")
    )


def _storable_part(
    batch: TokenizedBatch,
    positions: Sequence[int],
    vectors: Any,
    truncated: Sequence[bool],
    vector_type: VectorType,
) -> EmbeddedBatch:
    """The points at some positions of a batch, divided by whether their vectors can be stored."""
    with np.errstate(over="ignore"):  # an overflow to infinity is what is looked for
        vectors = np.asarray(vectors, dtype=np.float32)
    largest = np.finfo(vector_type).max
    if -largest <= vectors.min(initial=0) and vectors.max(initial=0) <= largest:  # no NaN either
        return EmbeddedBatch([batch.points[one] for one in positions], vectors, truncated)
    with np.errstate(over="ignore"):
        storable = np.isfinite(vectors.astype(vector_type, copy=False)).all(axis=1)
    kept = np.flatnonzero(storable).tolist()
    return EmbeddedBatch(
        [batch.points[positions[row]] for row in kept],
        vectors if storable.all() else vectors[kept],
        [truncated[row] for row in kept],
        {
            positions[row]: batch.points[positions[row]]
            for row in np.flatnonzero(~storable).tolist()
        },
    )


def _check_encoder(
    encoder: PassageEncoder,
    batch: TokenizedBatch,
    unstorable: Mapping[int, PendingPoint],
    vector_type: VectorType,
) -> None:
    """Raise ModelError if a whole batch has no vector that can be stored.

    One passage alone says nothing about the encoder, nor do those that an earlier load rejected.
    """
    if not batch.is_whole or len(batch.points) == 1 or len(unstorable) < len(batch.points):
        return
    pair = encoder.identity(Side.CONTEXT)
    storage = ", or a number beyond 65,504, which float16 cannot hold" * (vector_type == "float16")
    raise ModelError(
        f"All {len(unstorable)} vectors of a batch hold NaN or infinity{storage} (first passage: "
        f"{batch.points[0].record.passage.id!r}), so nothing of it is stored. Doubt the encoder "
        f"({pair.context_encoder}), its precision ({pair.precision}) and its device: try "
        "--precision fp32 or another --device"
        + (", or store float32 instead of float16." if storage else ".")
    )
