"""What a passage is, the point it becomes in Qdrant, and the hash that tells whether it changed."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.documents import Document

POINT_ID_NAMESPACE = uuid.UUID("8f0c5a52-4f0e-5d0a-9d5e-6f1f3c1e7a10")
"""Namespace of the UUIDv5 point ids. It must never change: stored points are found by it."""

MAX_POINT_NUMBER = 2**64 - 1
_CANONICAL_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Passage:
    """One retrievable piece of text.

    Attributes:
        id: what its owner calls it; the same id is the same point, on every machine.
        text: the passage itself, not empty.
        title: title of the document it comes from, or `""`.
        metadata: further columns, JSON values only.
    """

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_document(cls, document: Document) -> Passage:
        """A LangChain document as a passage: the title is `metadata["title"]`.

        Its id is `document.id`, else `metadata["id"]`, else made from title and text.
        """
        metadata = dict(document.metadata)
        title = str(metadata.pop("title", None) or "")
        named = metadata.pop("id", None)
        identifier = document.id if document.id is not None else named
        text = document.page_content
        return cls(
            id=id_from_content(title, text) if identifier in (None, "") else str(identifier),
            text=text,
            title=title,
            metadata=metadata,
        )


def id_from_content(title: str, text: str) -> str:
    """The id of a passage that came without one: the same content has the same id."""
    return _digest(title, text)[:32]


def point_id(passage_id: str) -> int | str:
    """The Qdrant point id of a passage id.

    A canonical decimal (no sign, no leading zero, below 2**64) is itself as a number; any other
    id is the UUIDv5 of its text.
    """
    if _CANONICAL_DECIMAL.fullmatch(passage_id) and int(passage_id) <= MAX_POINT_NUMBER:
        return int(passage_id)
    return str(uuid.uuid5(POINT_ID_NAMESPACE, passage_id))


def content_hash(passage: Passage, encoder_fingerprint: str) -> str:
    """SHA-256 (hex) over title, text and the encoder: where equal, there is nothing to encode."""
    return _digest(passage.title, passage.text, encoder_fingerprint)


def _digest(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()
