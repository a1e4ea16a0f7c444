"""Passages into a collection: what is already there is skipped, everything is counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from rdr_qdrant.collection import Collection, Point
from rdr_qdrant.collection.payload import METADATA_KEY, to_payload
from rdr_qdrant.encoding import Side
from rdr_qdrant.errors import SourceError
from rdr_qdrant.passages import Passage, content_hash, point_id
from rdr_qdrant.readers import PassageSource, Reject, RejectHandler
from rdr_qdrant.splitter import split_passage

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from qdrant_client import QdrantClient

    from rdr_qdrant.embeddings import RDREmbeddings


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did; `read = uploaded + updated + unchanged + rejected`.

    Attributes:
        collection_name: where to.
        read: passages and rows that were looked at.
        uploaded: encoded and written, new or changed.
        updated: only their metadata was written; text and title were the same.
        unchanged: already there as they are.
        rejected: set aside.
        truncated: of the uploaded, those of which only the first `max_length` tokens were encoded.
        points: points in the collection afterwards.
        seconds: from start to end.
    """

    collection_name: str
    read: int = 0
    uploaded: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    truncated: int = 0
    points: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The same as a dict, seconds rounded to milliseconds."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


ProgressHandler = Callable[[LoadReport], None]


@dataclass(kw_only=True)
class QdrantLoader:
    """Loads passages into a dot-product collection, which it creates where there is none.

    Args:
        embeddings: the pair whose context encoder makes the vectors.
        client: from `connect`, or any `QdrantClient`.
        collection_name: where to. An existing collection must fit the pair; it is never altered.
        batch_size: passages that are looked up, encoded and written at a time.
        vector_name: a named vector; `""` is the unnamed one.
        allow_unverified: use a collection that does not say which encoders made it.
        on_reject: called with each passage or row that is set aside.
        on_progress: called with the report so far after each batch.
        index: build an embedded collection's index after the load, where that pays.
        on_indexing: called a few times a second while it is built, with the seconds so far.
    """

    embeddings: RDREmbeddings
    client: QdrantClient
    collection_name: str
    batch_size: int = 256
    vector_name: str = ""
    allow_unverified: bool = False
    on_reject: RejectHandler | None = None
    on_progress: ProgressHandler | None = None
    index: bool = True
    on_indexing: Callable[[float], None] | None = None

    _report: LoadReport = field(init=False, repr=False)

    def load(self, passages: Iterable[Passage | Document]) -> LoadReport:
        """Load passages or LangChain documents, lazily, in batches; memory does not grow.

        Points that already hold the same title and text, encoded alike, are not encoded again.

        Raises:
            CollectionError: the collection does not fit the pair.
            ModelError: the context encoder cannot be loaded.
            StoreError: Qdrant does not answer or refuses.
        """
        started = time.monotonic()
        self._report = LoadReport(self.collection_name)
        collection = Collection(self.client, self.collection_name, self.vector_name)
        stream = self._usable(passages)
        ready = False
        while batch := list(islice(stream, self.batch_size)):
            if not ready:
                self._make_ready(collection)
                ready = True
            self._load_batch(collection, batch)
            self._add(seconds=time.monotonic() - started - self._report.seconds)
            if self.on_progress:
                self.on_progress(self._report)
        if ready and self.index:
            collection.build_index(self.on_indexing)
        points = collection.count() if ready or collection.exists() else 0
        return replace(self._report, points=points, seconds=time.monotonic() - started)

    def load_sources(
        self, sources: Sequence[PassageSource], *, split: int | None = None, id_prefix: str = ""
    ) -> LoadReport:
        """Load files or streams, one after the other; rows that cannot be used are set aside.

        Args:
            sources: from `open_source`.
            split: cut each passage at every that many words.
            id_prefix: put before each id, so that sources with like ids can share a collection.

        Raises:
            SourceError: there is no row at all, or none that can be used; nothing was written.
        """
        report = self.load(self._read(sources, split, id_prefix))
        if report.read == report.rejected:
            names = ", ".join(source.name for source in sources)
            if report.read == 0:
                raise SourceError(f"{names} holds no passages: there is nothing to load.")
            raise SourceError(
                f"None of the {report.read:,} rows of {names} can be used: nothing was written."
            )
        return report

    def _read(
        self, sources: Sequence[PassageSource], split: int | None, id_prefix: str
    ) -> Iterator[Passage]:
        for source in sources:
            for passage in source.passages(self._reject):
                named = replace(passage, id=id_prefix + passage.id) if id_prefix else passage
                if split is None:
                    yield named
                else:
                    yield from split_passage(named, split)

    def _usable(self, passages: Iterable[Passage | Document]) -> Iterator[Passage]:
        for number, item in enumerate(passages, start=1):
            try:
                passage = item if isinstance(item, Passage) else Passage.from_document(item)
                if not passage.text.strip():
                    raise ValueError("text is empty")
                f"{passage.id}{passage.title}{passage.text}".encode()
            except ValueError as error:
                unicode = isinstance(error, UnicodeEncodeError)
                reason = "not valid Unicode" if unicode else str(error)
                self._reject(Reject("passages", number, reason, repr(item)))
            else:
                yield passage

    def _make_ready(self, collection: Collection) -> None:
        if collection.exists():
            ours = self.embeddings.identity(Side.CONTEXT)
            collection.check(ours, allow_unverified=self.allow_unverified)
        else:
            collection.create(self.embeddings.identity())

    def _load_batch(self, collection: Collection, batch: list[Passage]) -> None:
        """Look up, skip what is there, encode the rest, write it."""
        fingerprint = self.embeddings.fingerprint()
        payloads: dict[int | str, tuple[Passage, dict[str, Any]]] = {}
        for passage in batch:
            key = point_id(passage.id)
            payload = to_payload(passage, content_hash(passage, fingerprint))
            known = payloads.setdefault(key, (passage, payload))[1]
            if known is not payload:
                self._repeated(passage, same=known == payload)
        stored = collection.stored(list(payloads))
        fresh = []
        for key, (passage, payload) in payloads.items():
            old_hash, old_metadata = stored.get(key, ("", {}))
            if old_hash != payload["content_hash"]:
                fresh.append((key, passage, payload))
            elif old_metadata != payload[METADATA_KEY]:
                collection.replace_metadata(key, payload[METADATA_KEY])
                self._add(read=1, updated=1)
            else:
                self._add(read=1, unchanged=1)
        if fresh:
            encoded = self.embeddings.encode_passages_counted([passage for _, passage, _ in fresh])
            points = zip(fresh, encoded.vectors, strict=True)
            collection.upsert([Point(key, vector, payload) for (key, _, payload), vector in points])
            self._add(read=len(fresh), uploaded=len(fresh), truncated=sum(encoded.truncated))

    def _repeated(self, passage: Passage, *, same: bool) -> None:
        if same:
            self._add(read=1, unchanged=1)
        else:
            source = str(passage.metadata.get("source", "passages"))
            reason = f"id stands twice with different content: {passage.id}"
            self._reject(Reject(source, 0, reason, {"id": passage.id, "title": passage.title}))

    def _reject(self, row: Reject) -> None:
        self._add(read=1, rejected=1)
        if self.on_reject:
            self.on_reject(row)

    def _add(self, **counts: float) -> None:
        current = {name: getattr(self._report, name) + more for name, more in counts.items()}
        self._report = replace(self._report, **current)


def fraction_read(sources: Sequence[PassageSource]) -> float | None:
    """How much of all sources has been read, 0 to 1, or `None` where a length is not known."""
    done = total = 0.0
    for source in sources:
        fraction = source.fraction_read()
        if fraction is None:
            return None
        done += fraction * source.size
        total += source.size
    return done / total if total else None
