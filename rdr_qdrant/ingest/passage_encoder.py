"""What a load needs of its encoder, be it a pair, stored vectors or encoders elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rdr_qdrant.passages import Passage
from rdr_qdrant.registry import PairIdentity

if TYPE_CHECKING:
    from rdr_qdrant.encoding import EncodedBatch, Side


class PassageEncoder(Protocol):
    """Gives passages their vectors; `RDREmbeddings` is one."""

    def identity(self, *sides: Side) -> PairIdentity:
        """What a collection remembers of the pair, with probes of these sides (default both)."""

    def fingerprint(self) -> str:
        """What a vector depends on besides its passage, for the content hash."""

    def tokenize_passages(self, passages: Sequence[Passage]) -> Any:
        """The passages as `encode_batches` takes them; runs beside it, in another thread."""

    def encode_batches(self, tokens: Any) -> Iterator[EncodedBatch]:
        """Their vectors, float32, some of them at a time and in any order."""
