"""LangChain documents as passages, and points as the documents they were."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from rdr_qdrant.collection import IndexTypes, PointId, metadata_filter
from rdr_qdrant.collection.payload import (
    GIVEN_KEY,
    METADATA_KEY,
    TEXT_KEY,
    canonical_json,
    is_ours,
)
from rdr_qdrant.collection.points import normalized_id
from rdr_qdrant.errors import UsageError
from rdr_qdrant.passages import Passage, id_from_content, point_id

if TYPE_CHECKING:
    from qdrant_client import models

OWN_KEYS = ("id", "title")
"""What a stored passage's metadata holds of the passage itself."""


def to_passages(
    texts: Iterable[str],
    metadatas: Iterable[Mapping[str, Any]] | None,
    ids: Iterable[str | int | None] | None,
) -> list[Passage]:
    """Texts with their metadata and ids as passages; `metadata["title"]` is the title.

    A text without an id gets one from its content: the same text and metadata, the same id.

    Raises:
        UsageError: not as many of one as of another, or a text that is none.
    """
    texts = list(texts)
    all_metadata = [{}] * len(texts) if metadatas is None else [one or {} for one in metadatas]
    all_ids = [None] * len(texts) if ids is None else list(ids)
    if not len(texts) == len(all_metadata) == len(all_ids):
        raise UsageError(
            f"There are {len(texts)} texts, {len(all_metadata)} metadatas and {len(all_ids)} ids: "
            "give one for each text, or leave them out."
        )
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise UsageError(f"Text {number} is {type(text).__name__}, not a string.")
    return [_to_passage(*one) for one in zip(texts, all_metadata, all_ids, strict=True)]


def _to_passage(text: str, metadata: Mapping[str, Any], given_id: str | int | None) -> Passage:
    title = metadata.get("title")
    kept = {key: value for key, value in metadata.items() if key not in OWN_KEYS}
    given = {key: metadata[key] for key in ("id", GIVEN_KEY) if key in metadata}
    if "title" in metadata and not (isinstance(title, str) and title):
        given["title"] = title
    if given:
        kept[GIVEN_KEY] = given
    return Passage(
        id=_content_id(text, metadata) if given_id in (None, "") else str(given_id),
        text=text,
        title=str(title or ""),
        metadata=kept,
    )


def _content_id(text: str, metadata: Mapping[str, Any]) -> str:
    from pydantic_core import to_jsonable_python

    plain = to_jsonable_python(dict(metadata), serialize_unknown=True)
    return id_from_content("", canonical_json([plain, text]))  # ASCII, whatever the text is


def to_document(point: models.ScoredPoint | models.Record) -> Document:
    """The document that a point was made of, with its id and its own metadata.

    Of a point that other software wrote, the id is the point's and the metadata are as they lie.
    """
    payload = point.payload or {}
    found = payload.get(METADATA_KEY)
    metadata = dict(found) if isinstance(found, Mapping) else {}
    identifier = str(point.id)
    if is_ours(normalized_id(point.id), payload):
        identifier = str(metadata.pop("id", identifier))
        if not metadata.get("title"):
            metadata.pop("title", None)
        metadata |= metadata.pop(GIVEN_KEY, {})
    return Document(id=identifier, page_content=str(payload.get(TEXT_KEY) or ""), metadata=metadata)


def point_ids(document_id: str) -> list[PointId]:
    """Where a document of this id may lie: as ours, and as other software's of that UUID."""
    ids = [point_id(document_id)]
    with contextlib.suppress(ValueError):
        ids.append(str(uuid.UUID(document_id)))
    return ids


def document_filter(conditions: Mapping[str, Any], indexes: IndexTypes) -> models.Filter:
    """`metadata_filter` where `id` and `title` may be the passage's or the document's own."""
    from qdrant_client import models

    return models.Filter(must=[_either(key, value, indexes) for key, value in conditions.items()])


def _either(key: str, value: Any, indexes: IndexTypes) -> models.Filter:
    from qdrant_client import models

    names: Sequence[str] = [key, f"{GIVEN_KEY}.{key}"] if key in OWN_KEYS else [key]
    return models.Filter(should=[metadata_filter({name: value}, indexes) for name in names])
