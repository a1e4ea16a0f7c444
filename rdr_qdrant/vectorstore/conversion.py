"""Converts LangChain documents to passages, and Qdrant points back to documents."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from rdr_qdrant.collection import IndexTypes, PointId, metadata_filter
from rdr_qdrant.collection.payload import (
    GIVEN_KEY,
    TEXT_KEY,
    canonical_json,
    is_ours,
    stored_metadata,
)
from rdr_qdrant.collection.point_encoding import normalized_id
from rdr_qdrant.errors import UsageError
from rdr_qdrant.passages import Passage, id_from_content, point_id

if TYPE_CHECKING:
    from qdrant_client import models

PASSAGE_KEYS = ("id", "title")
"""Keys of a stored point's metadata that belong to the passage, not to the document."""


def to_passages(
    texts: Iterable[str],
    metadatas: Iterable[Mapping[str, Any]] | None,
    ids: Iterable[str | int | None] | None,
) -> list[Passage]:
    """Convert texts to passages; `metadata["title"]` is the title.

    A text without an id gets one from its content: the same text and metadata give the same id.

    Raises:
        UsageError: the numbers of texts, metadatas and ids differ, or one of them has the wrong
            type.
    """
    for name, given in (("texts", texts), ("metadatas", metadatas), ("ids", ids)):
        if isinstance(given, str | Mapping):  # its letters or keys would be taken one by one
            raise UsageError(f"{name} is a {type(given).__name__}: pass a list.")
    texts = list(texts)
    all_metadata = [{}] * len(texts) if metadatas is None else [one or {} for one in metadatas]
    all_ids = [None] * len(texts) if ids is None else list(ids)
    if not len(texts) == len(all_metadata) == len(all_ids):
        raise UsageError(
            f"{len(texts)} texts, {len(all_metadata)} metadatas and {len(all_ids)} ids: "
            "pass one per text, or omit them."
        )
    for number, (text, metadata) in enumerate(zip(texts, all_metadata, strict=True), start=1):
        if not isinstance(text, str):
            raise UsageError(f"Text {number} is a {type(text).__name__}, not a string.")
        if not isinstance(metadata, Mapping):
            raise UsageError(f"Metadata {number} is a {type(metadata).__name__}, not a dict.")
    return [_to_passage(*one) for one in zip(texts, all_metadata, all_ids, strict=True)]


def _to_passage(text: str, metadata: Mapping[str, Any], given_id: str | int | None) -> Passage:
    title = metadata.get("title")
    kept = {key: value for key, value in metadata.items() if key not in PASSAGE_KEYS}
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

    jsonable = to_jsonable_python(dict(metadata), serialize_unknown=True)
    return id_from_content("", canonical_json([jsonable, text]))  # ASCII for any text


def point_to_document(point: models.ScoredPoint | models.Record) -> Document:
    """Restore the document a point was made from, with its id and metadata.

    For a point written by other software, the document gets the point's id and its metadata as
    stored.
    """
    payload = point.payload or {}
    metadata = dict(stored_metadata(payload))
    document_id = str(point.id)
    if is_ours(normalized_id(point.id), payload):
        document_id = str(metadata.pop("id", document_id))
        if not metadata.get("title"):
            metadata.pop("title", None)
        metadata |= metadata.pop(GIVEN_KEY, {})
    return Document(
        id=document_id, page_content=str(payload.get(TEXT_KEY) or ""), metadata=metadata
    )


def _point_ids(document_id: str) -> list[PointId]:
    """Return the ids a document's point may have: ours, and the UUID itself if it is one.

    Other software that uses UUIDs stores a document under its own id.
    """
    ids = [point_id(document_id)]
    with contextlib.suppress(ValueError):
        ids.append(str(uuid.UUID(document_id)))
    return ids


def all_point_ids(ids: Sequence[str | int]) -> list[PointId]:
    """Return every point id that the documents with these ids may have."""
    return [point for group in _point_id_groups(ids) for point in group]


def _point_id_groups(ids: Sequence[str | int]) -> list[list[PointId]]:
    """Return, for each document id, the point ids that its document may have."""
    each = [ids] if isinstance(ids, str | int) else ids
    return [_point_ids(str(one)) for one in each]


def documents_in_order(
    ids: Sequence[str | int], records: Sequence[models.Record]
) -> list[Document]:
    """Return the documents with these ids that are among the records, in the order of the ids."""
    found = {normalized_id(record.id): record for record in records}
    groups = _point_id_groups(ids)
    present = (next((found[one] for one in group if one in found), None) for group in groups)
    return [point_to_document(record) for record in present if record is not None]


def document_filter(conditions: Mapping[str, Any], indexes: IndexTypes) -> models.Filter:
    """Build a Qdrant filter from metadata; `id` and `title` match the passage's or the document's.

    A document may have an `id` or `title` in its metadata that differs from its passage's.
    """
    from qdrant_client import models

    def either(key: str, value: Any) -> models.Filter:
        names = [key, f"{GIVEN_KEY}.{key}"] if key in PASSAGE_KEYS else [key]
        return models.Filter(should=[metadata_filter({name: value}, indexes) for name in names])

    return models.Filter(must=[either(key, value) for key, value in conditions.items()])
