"""Rows on their way: items, what is to do, windows, encoded, written; each stage a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rdr_qdrant.collection import Collection, Point, PointId
from rdr_qdrant.collection.payload import (
    HASH_KEY,
    METADATA_KEY,
    same_json,
    to_payload,
)
from rdr_qdrant.collection.points import StoredPoint
from rdr_qdrant.ingest.passage_encoder import PassageEncoder
from rdr_qdrant.ingest.records import Row
from rdr_qdrant.passages import content_hash, point_id


@dataclass(frozen=True, slots=True)
class Item:
    """A row with the point that it is to become; `exists` where its id has a point of ours."""

    row: Row
    id: PointId
    payload: dict[str, Any]
    exists: bool = False

    @property
    def content_hash(self) -> str:
        return str(self.payload[HASH_KEY])

    @property
    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = self.payload[METADATA_KEY]
        return found


@dataclass(frozen=True, slots=True)
class Work:
    """What is to do for a batch, as the collection stands.

    Attributes:
        fresh: new, or with another title, text or encoder: to be encoded and written.
        changed: only the metadata is another.
        unchanged: there as they are.
        foreign: their point ids are taken by points that other software wrote.
        taken_over: those of fresh and changed whose points another source had before.
    """

    fresh: list[Item] = field(default_factory=list)
    changed: list[Item] = field(default_factory=list)
    unchanged: list[Item] = field(default_factory=list)
    foreign: list[Item] = field(default_factory=list)
    taken_over: list[Item] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Window:
    """Items as the encoder takes them."""

    items: Sequence[Item]
    tokens: Any


@dataclass(frozen=True, slots=True)
class Encoded:
    """Items with their vectors, float32 [n, dim], and which of them were cut."""

    items: Sequence[Item]
    vectors: Any
    truncated: Sequence[bool]


@dataclass(frozen=True, slots=True)
class Changed:
    """Items of which only the metadata is to be written."""

    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Written:
    """A batch that was written, but for the points that Qdrant takes in no request."""

    batch: Encoded | Changed
    refused: set[PointId]


@dataclass(frozen=True, slots=True)
class Retry:
    """News from a writer: what happened, and the seconds until it tries again."""

    why: str
    seconds: float


def item_of(row: Row, fingerprint: str) -> Item:
    """The point that a row is to become with this encoder."""
    passage = row.passage
    payload = to_payload(passage, content_hash(passage, fingerprint))
    return Item(row, point_id(passage.id), payload)


def look_up(collection: Collection, items: Sequence[Item]) -> Work:
    """Ask Qdrant what it has."""
    work = Work()
    stored = collection.points.retrieve([item.id for item in items]) if items else {}
    for item in items:
        there = stored.get(item.id)
        if there is None:
            work.fresh.append(item)
        elif there.content_hash is None:
            work.foreign.append(item)
        elif there.content_hash != item.content_hash:
            work.fresh.append(replace(item, exists=True))
        elif not same_json(item.metadata, there.metadata):
            work.changed.append(item)
        else:
            work.unchanged.append(item)
            continue
        if there is not None and _is_anothers(item, there):
            work.taken_over.append(item)
    return work


def _is_anothers(item: Item, there: StoredPoint) -> bool:
    if there.content_hash is None:
        return False
    return there.metadata.get("source") != item.metadata.get("source")


def window_of(embeddings: PassageEncoder, items: Sequence[Item]) -> Window:
    """Items ready for the encoder."""
    return Window(items, embeddings.tokenize_passages([item.row.passage for item in items]))


def encode(embeddings: PassageEncoder, window: Window) -> Iterator[Encoded]:
    """The items of a window with their vectors, a batch at a time as they are ready."""
    for batch in embeddings.encode_batches(window.tokens):
        items = [window.items[position] for position in batch.positions]
        yield Encoded(items, batch.vectors, batch.truncated)


def write(collection: Collection, batch: Encoded | Changed) -> Written:
    """Write points, or only their metadata."""
    if isinstance(batch, Changed):
        changes = [(item.id, item.content_hash, item.metadata) for item in batch.items]
        return Written(batch, set(collection.points.replace_metadata(changes)))
    pairs = zip(batch.items, batch.vectors, strict=True)
    points = [Point(item.id, vector, item.payload) for item, vector in pairs]
    existing = {item.id for item in batch.items if item.exists}
    return Written(batch, set(collection.points.upsert(points, existing).too_large))
