"""At the end of a load: is what was sent what is there?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdr_qdrant.collection import Collection, PointId, Reservoir, Sampled
from rdr_qdrant.collection.payload import HASH_KEY, METADATA_KEY, TEXT_KEY, same_json
from rdr_qdrant.errors import StoreError
from rdr_qdrant.ingest.diff import Item
from rdr_qdrant.ingest.id_index import IdIndex

SAMPLE_SIZE = 100
IDS_AT_A_TIME = 1000
SHOWN = 5
"""Missing points that are named; where so many are, no further ones are looked for."""
VECTOR_TOLERANCE = 1e-3
"""Largest relative distance of a vector from the one sent: a collection may hold half floats."""


class VerificationError(StoreError):
    """What is in the collection is not what was sent."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One point as it was sent; its vector where this load encoded it."""

    id: PointId
    text_digest: bytes
    content_hash: str
    metadata: Mapping[str, Any]
    vector: Any | None


class Verification:
    """Keeps a random sample of what is sent, and compares it with the collection at the end."""

    def __init__(self) -> None:
        self._sample: Reservoir[Sent] = Reservoir(SAMPLE_SIZE)

    def sent(self, item: Item, vector: Any | None = None) -> Sampled[Sent] | None:
        """This is in the collection now; what the sample keeps of it, where it does for now."""
        return self._sample.offer(
            lambda: Sent(
                id=item.id,
                text_digest=_digest(item.row.passage.text),
                content_hash=item.content_hash,
                metadata=item.metadata,
                vector=None if vector is None else vector.copy(),
            )
        )

    def merge(self, others: Iterable[Sampled[Sent]]) -> None:
        """What another verification of the same load kept."""
        self._sample.merge(others)

    def count(self, collection: Collection, seen: IdIndex, check: Callable[[], None]) -> int:
        """Number of the load's points that are in the collection: all of them.

        Args:
            check: called before each request; may raise.

        Raises:
            VerificationError: some are missing.
        """
        found = 0
        missing: list[PointId] = []
        for ids in seen.batches(IDS_AT_A_TIME):
            check()
            present = collection.points.existing_ids(ids)
            found += len(present)
            missing += (one for one in ids if one not in present)
            if len(missing) >= SHOWN:
                break
        if missing:
            raise VerificationError(
                f"Points of this load are not in collection {collection.name!r}, though Qdrant "
                f"confirmed them: {', '.join(map(str, missing[:SHOWN]))}. Did somebody delete "
                "them? The same command loads what is missing."
            )
        return found

    def compare(self, collection: Collection) -> int:
        """Number of points in the sample, each read back and equal to what was sent.

        Raises:
            VerificationError: one is missing or differs.
        """
        there = collection.points.retrieve_payloads_and_vectors(
            [one.id for one in self._sample.items]
        )
        for one in self._sample.items:
            what = _difference(one, there.get(one.id))
            if what:
                raise VerificationError(
                    f"Point {one.id} of collection {collection.name!r} {what}. Does another load "
                    "write to it with other content? Run the same command again; if it stays so, "
                    "the store cannot be relied on."
                )
        return len(self._sample.items)


def _difference(sent: Sent, there: tuple[Any, Any] | None) -> str | None:
    if there is None:
        return "is missing, though Qdrant confirmed it"
    payload, vector = there
    same = (
        payload.get(HASH_KEY) == sent.content_hash
        and _digest(str(payload.get(TEXT_KEY))) == sent.text_digest
        and same_json(sent.metadata, payload.get(METADATA_KEY))
    )
    if not same:
        return "has another payload than the one sent"
    if sent.vector is not None and not _close(sent.vector, vector):
        return "has another vector than the one sent"
    return None


def _close(sent: Any, stored: Any) -> bool:
    found = np.asarray(stored, dtype=np.float32)
    return found.shape == sent.shape and bool(
        np.linalg.norm(found - sent) <= VECTOR_TOLERANCE * np.linalg.norm(sent)
    )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
