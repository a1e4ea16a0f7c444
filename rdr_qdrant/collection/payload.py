"""How a passage lies in a point's payload: LangChain's `QdrantVectorStore` reads it as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rdr_qdrant.passages import Passage

TEXT_KEY = "page_content"
METADATA_KEY = "metadata"
HASH_KEY = "content_hash"

_LONG_NUMBER = re.compile(r"\d{19}")


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
    return Passage(
        id=str(metadata.pop("id", point_id)),
        title=str(metadata.pop("title", "") or ""),
        text=str(payload.get(TEXT_KEY, "")),
        metadata=metadata,
    )


def canonical_json(value: Any) -> str:
    """One text for what is one value once Qdrant has stored it, whatever the order of its keys.

    Qdrant keeps integers of 64 bits; larger ones become floats.
    """
    text = _dumps(value)
    return _dumps(_as_stored(value)) if _LONG_NUMBER.search(text) else text


def _dumps(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _as_stored(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_stored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_stored(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    return value
