"""How a passage lies in a point's payload: LangChain's `QdrantVectorStore` reads it as it is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rdr_qdrant.passages import Passage

TEXT_KEY = "page_content"
METADATA_KEY = "metadata"
HASH_KEY = "content_hash"
GIVEN_KEY = "_given"
"""Within the metadata: what a LangChain document itself had as `id` or `title`, where it is not
what we store; its owner gets it back. No part of the passage."""

FLOAT_TOLERANCE = 1e-14
"""Largest relative difference of a float from the one sent."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    Attributes:
        score: raw inner product with the question's vector, unbounded.
        passage: the passage as it was stored.
    """

    score: float
    passage: Passage

    def to_json(self) -> dict[str, Any]:
        """`score id title text metadata`; the metadata without the id and title beside it."""
        passage = self.passage
        return {
            "score": self.score,
            "id": passage.id,
            "title": passage.title,
            "text": passage.text,
            "metadata": dict(passage.metadata),
        }


def to_payload(passage: Passage, content_hash: str) -> dict[str, Any]:
    """`page_content`, `metadata` (with `id` and `title`), `content_hash`."""
    return {
        TEXT_KEY: passage.text,
        METADATA_KEY: {**passage.metadata, "id": passage.id, "title": passage.title},
        HASH_KEY: content_hash,
    }


def from_payload(point_id: int | str, payload: Mapping[str, Any] | None) -> Passage:
    """The passage of a point; one that other software wrote is read as far as it goes."""
    payload = payload or {}
    found = payload.get(METADATA_KEY)
    metadata = dict(found) if isinstance(found, Mapping) else {}
    metadata.pop(GIVEN_KEY, None)
    return Passage(
        id=str(metadata.pop("id", point_id)),
        title=str(metadata.pop("title", "") or ""),
        text=str(payload.get(TEXT_KEY, "")),
        metadata=metadata,
    )


def canonical_json(value: Any) -> str:
    """One text for one value, whatever the order of its keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def same_json(ours: Any, stored: Any) -> bool:
    """Whether what is stored is what we sent, up to what Qdrant does to numbers.

    Integers beyond 64 bits become floats, and the last bit of a float may change (serde_json
    reads numbers fast, not exactly).
    """
    if isinstance(ours, Mapping) and isinstance(stored, Mapping):
        return ours.keys() == stored.keys() and all(same_json(ours[k], stored[k]) for k in ours)
    if isinstance(ours, list) and isinstance(stored, list):
        return len(ours) == len(stored) and all(map(same_json, ours, stored))
    if isinstance(ours, bool) or isinstance(stored, bool):
        return ours is stored
    if isinstance(ours, int) and isinstance(stored, float) and not _fits(ours):
        ours = float(ours)
    if isinstance(ours, float) and isinstance(stored, float):
        return math.isclose(ours, stored, rel_tol=FLOAT_TOLERANCE)
    return type(ours) is type(stored) and bool(ours == stored)


def _fits(number: int) -> bool:
    return -(2**63) <= number < 2**64
