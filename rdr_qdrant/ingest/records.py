"""The shapes of a record on its way: read, pending, tokenized, embedded.

Those that each record has of its own are named tuples, made in half the time of a frozen dataclass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, NamedTuple

import orjson

from rdr_qdrant.collection import PointId
from rdr_qdrant.collection.payload import HASH_KEY, METADATA_KEY, canonical_json, to_payload
from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.passages import FILE_KEY, SOURCE_KEY, Passage, content_hash, point_id
from rdr_qdrant.readers import Reject


class SourceRecord(NamedTuple):
    """A passage, and where it came from.

    Attributes:
        passage: the passage.
        source: name of the source.
        line: its line there, or its number, from 1.
        first_part: of a further part of a split text, id and line of the first one.
    """

    passage: Passage
    source: str
    line: int
    first_part: tuple[str, int] | None = None

    def content_digest(self) -> bytes:
        """16 bytes over all content; the name of the file it stands in is not content."""
        passage = self.passage
        metadata = passage.metadata
        metadata = {
            key: value
            for key, value in metadata.items()
            if key not in (SOURCE_KEY, FILE_KEY) or value != self.source
        }
        content = [passage.title, passage.text, metadata]
        return hashlib.blake2b(_canonical_bytes(content), digest_size=16).digest()

    def key(self) -> bytes:
        """The `id_key` of its point."""
        return id_key(point_id(self.passage.id))

    def first_part_key(self) -> tuple[bytes, int] | None:
        """`id_key` and line of the first part of its text; `None` if it is that, or whole."""
        return self.first_part and (id_key(point_id(self.first_part[0])), self.first_part[1])

    def to_reject(self, reason: str) -> Reject:
        """The record as a reject, whose source is the file."""
        passage = self.passage
        shown = {"id": passage.id, "title": passage.title, "text": passage.text}
        return Reject(self._file(), self.line, reason, shown)

    def _file(self) -> str:
        """Name of the source; of a folder of documents, that of the document."""
        metadata = self.passage.metadata
        path = metadata.get("path")
        is_document = "file_digest" in metadata and metadata.get("source") == self.source
        if is_document and isinstance(path, str) and PurePath(self.source).name != path:
            return str(PurePath(self.source, path))
        return self.source


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Consecutive records of one partition, as values: nothing is reported while reading.

    Attributes:
        partition: index of the partition.
        records: those that can be used.
        rejects: those that cannot, from the same stretch of the source.
        rows_read: rows of the partition read so far.
        fraction_read: how much of the partition that is, 0 to 1; `None` if unknown.
        duplicates: records dropped here since an earlier one has the same id and content.
        id_conflicts: rejects that have the id of an earlier record and other content.
        error: what ended the reading, after these records.
    """

    partition: int
    records: Sequence[SourceRecord] = ()
    rejects: Sequence[Reject] = ()
    rows_read: int = 0
    fraction_read: float | None = None
    duplicates: int = 0
    id_conflicts: int = 0
    error: RDRQdrantError | None = None


class PendingPoint(NamedTuple):
    """A record with the id and payload of the point that it is to become.

    Attributes:
        record: the record.
        id: the id of the point.
        payload: its payload.
        replaces: a point of ours with this id is stored, with another text or encoder.
    """

    record: SourceRecord
    id: PointId
    payload: dict[str, Any]
    replaces: bool = False

    def replacing(self) -> PendingPoint:
        """The same point, known to replace one."""
        return PendingPoint(self.record, self.id, self.payload, replaces=True)

    @property
    def content_hash(self) -> str:
        """See `passages.content_hash`."""
        return str(self.payload[HASH_KEY])

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata of the passage, with its id and title."""
        metadata: dict[str, Any] = self.payload[METADATA_KEY]
        return metadata


@dataclass(frozen=True, slots=True)
class TokenizedBatch:
    """Pending points and their texts as the encoder takes them.

    Attributes:
        points: n points.
        tokens: see `PassageEncoder.tokenize_passages`.
        is_whole: these are all records of the batch that was read; none was stored already.
    """

    points: Sequence[PendingPoint]
    tokens: Any
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class EmbeddedBatch:
    """Pending points with their vectors.

    Attributes:
        points: n points.
        vectors: float32 [n, dim], finite also in the type in which they are stored.
        truncated: for each point, true if only its first `max_length` tokens were encoded.
        unstorable: further points of the batch, whose vectors are not, by their position in it.
    """

    points: Sequence[PendingPoint]
    vectors: Any
    truncated: Sequence[bool]
    unstorable: Mapping[int, PendingPoint] = field(default_factory=dict)

    def in_order(self) -> Iterator[tuple[PendingPoint, bool]]:
        """All points of a batch that was embedded as a whole, and whether each has a vector."""
        stored = iter(self.points)
        for position in range(len(self.points) + len(self.unstorable)):
            if position in self.unstorable:
                yield self.unstorable[position], False
            else:
                yield next(stored), True


@dataclass(frozen=True, slots=True)
class MetadataUpdate:
    """Points whose text and title are stored already; only their metadata is to be written."""

    points: Sequence[PendingPoint]


def to_pending(record: SourceRecord, fingerprint: str) -> PendingPoint:
    """The point that a record becomes with the encoder of this fingerprint."""
    passage = record.passage
    payload = to_payload(passage, content_hash(passage, fingerprint))
    return PendingPoint(record, point_id(passage.id), payload)


def id_key(point_id: PointId) -> bytes:
    """A point id in 8 bytes (a number) or 16 (a UUID)."""
    if isinstance(point_id, int):
        return point_id.to_bytes(8, "big")
    return bytes.fromhex(point_id.replace("-", ""))


def _canonical_bytes(value: Any) -> bytes:
    """The same bytes for the same value, whatever the order of keys, and others for another."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits
        return canonical_json(value).encode()
