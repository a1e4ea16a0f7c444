"""Payload of a passage's point, readable by LangChain's `QdrantVectorStore` as it is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rdr_qdrant.passages import Passage, point_id

TEXT_KEY = "page_content"
METADATA_KEY = "metadata"
HASH_KEY = "content_hash"
GIVEN_KEY = "_given"
"""Metadata key that holds a LangChain document's own `id` or `title`, where we store others; they
are restored on reading. Not part of the passage."""

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_CONTENT_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)

FLOAT_TOLERANCE = 1e-14
"""Largest relative difference of a float from the one sent."""


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage found by a search.

    Attributes:
        score: raw inner product with the question's vector, unbounded.
        passage: as it was stored.
    """

    score: float
    passage: Passage

    def to_json(self) -> dict[str, Any]:
        """Return `score id title text metadata`; the metadata without id and title."""
        passage = self.passage
        return {
            "score": self.score,
            "id": passage.id,
            "title": passage.title,
            "text": passage.text,
            "metadata": dict(passage.metadata),
        }


def to_payload(passage: Passage, content_hash: str) -> dict[str, Any]:
    """Return `page_content`, `metadata` (with `id` and `title`) and `content_hash`."""
    return {
        TEXT_KEY: passage.text,
        METADATA_KEY: {**passage.metadata, "id": passage.id, "title": passage.title},
        HASH_KEY: content_hash,
    }


def stored_metadata(payload: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return a payload's metadata; empty where other software stored none, or something else."""
    found = (payload or {}).get(METADATA_KEY)
    return found if isinstance(found, Mapping) else {}


def is_ours(stored_id: int | str, payload: Mapping[str, Any] | None) -> bool:
    """Return whether we wrote a point: others may use the key `content_hash` too.

    Our hashes are SHA-256 in hex, and the passage id in our metadata maps to the point id.

    Args:
        stored_id: id of the point.
        payload: with at least `content_hash` and the metadata's `id`.
    """
    content_hash = (payload or {}).get(HASH_KEY)
    if not (isinstance(content_hash, str) and _CONTENT_HASH.fullmatch(content_hash)):
        return False
    passage_id = stored_metadata(payload).get("id")
    return isinstance(passage_id, str) and point_id(passage_id) == stored_id


def from_payload(stored_id: int | str, payload: Mapping[str, Any] | None) -> Passage:
    """Return the passage of a point; of one that other software wrote, as much as there is."""
    metadata = dict(stored_metadata(payload))
    metadata.pop(GIVEN_KEY, None)
    return Passage(
        id=str(metadata.pop("id", stored_id)),
        title=str(metadata.pop("title", "") or ""),
        text=str((payload or {}).get(TEXT_KEY, "")),
        metadata=metadata,
    )


def canonical_json(value: Any) -> str:
    """Serialize a value to the same text whatever the order of its keys."""
    return _CANONICAL.encode(value)


def same_json(ours: Any, stored: Any) -> bool:
    """Return whether the stored value is the one sent, up to what Qdrant does to numbers.

    Integers beyond 64 bits become floats, and the last bit of a float may change (serde_json
    reads numbers fast, not exactly).
    """
    if type(ours) is str:  # nearly all
        return type(stored) is str and ours == stored
    if isinstance(ours, Mapping) and isinstance(stored, Mapping):
        return ours.keys() == stored.keys() and all(same_json(ours[k], stored[k]) for k in ours)
    if isinstance(ours, list) and isinstance(stored, list):
        return len(ours) == len(stored) and all(map(same_json, ours, stored))
    if isinstance(ours, bool) or isinstance(stored, bool):
        return ours is stored
    if isinstance(ours, int) and isinstance(stored, float) and not _fits_64_bits(ours):
        ours = float(ours)
    if isinstance(ours, float) and isinstance(stored, float):
        return math.isclose(ours, stored, rel_tol=FLOAT_TOLERANCE)
    return type(ours) is type(stored) and bool(ours == stored)


def _fits_64_bits(number: int) -> bool:
    return -(2**63) <= number < 2**64
