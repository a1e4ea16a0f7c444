"""Passages, their point ids in Qdrant, and the content hash by which a change is detected."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.documents import Document

POINT_ID_NAMESPACE = uuid.UUID("8f0c5a52-4f0e-5d0a-9d5e-6f1f3c1e7a10")
"""Namespace of the UUIDv5 point ids. It must never change, or stored points are not found again."""

SOURCE_KEY = "source"
"""Metadata key of the name of the file or folder, unless a row has a column of that name."""
FILE_KEY = "loaded_from"
"""Metadata key of the name of the file, if a row has a `source` of its own."""

MAX_POINT_NUMBER = 2**64 - 1
_CANONICAL_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Passage:
    """A retrievable piece of text.

    Attributes:
        id: its owner's id; the same id is the same point, on every machine.
        text: the passage itself, not empty.
        title: title of the document that it comes from, or `""`.
        metadata: further columns, JSON values only.
    """

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_document(cls, document: Document) -> Passage:
        """Convert a LangChain document.

        The title is `metadata["title"]`; the id is `document.id`, else `metadata["id"]`, else a
        digest of title and text.
        """
        metadata = dict(document.metadata)
        title = str(metadata.pop("title", None) or "")
        metadata_id = metadata.pop("id", None)
        identifier = document.id if document.id is not None else metadata_id
        text = document.page_content
        return cls(
            id=id_from_content(title, text) if identifier in (None, "") else str(identifier),
            text=text,
            title=title,
            metadata=metadata,
        )


def id_from_content(title: str, text: str) -> str:
    """Return an id for a passage without one: a digest, the same for the same content."""
    return _digest(title, text)[:32]


def point_id(passage_id: str) -> int | str:
    """Return the Qdrant point id of a passage id.

    A canonical decimal (no sign, no leading zero, below 2**64) becomes that number; any other id
    becomes its UUIDv5.
    """
    if _CANONICAL_DECIMAL.fullmatch(passage_id) and (number := int(passage_id)) <= MAX_POINT_NUMBER:
        return number
    return _uuid(passage_id)


@lru_cache(maxsize=8192)  # a passage's is asked for again when its batch is read, some thousands
def _uuid(passage_id: str) -> str:
    return str(uuid.uuid5(POINT_ID_NAMESPACE, passage_id))


def content_hash(passage: Passage, encoder_fingerprint: str) -> str:
    """Return the SHA-256 (hex) of title, text and encoder: where equal, nothing is encoded."""
    return _digest(passage.title, passage.text, encoder_fingerprint)


def _digest(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()
