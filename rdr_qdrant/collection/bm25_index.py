"""`Bm25Index`: adds BM25 to a collection that exists, completes it, takes it away."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import UnindexedFilterError, server_version
from rdr_qdrant.collection.bm25 import (
    BM25_KEY,
    BM25_VECTOR,
    DEFAULT_LANGUAGE,
    Bm25Encoder,
    Bm25Record,
    check_language,
)
from rdr_qdrant.collection.connection import CollectionConnection, metadata_of
from rdr_qdrant.collection.payload import HASH_KEY, METADATA_KEY, TEXT_KEY
from rdr_qdrant.collection.point_encoding import PointId
from rdr_qdrant.collection.points import Points, normalized_id
from rdr_qdrant.errors import CollectionError

if TYPE_CHECKING:
    from qdrant_client import models

NEW_VECTOR_SINCE = (1, 18)
"""First version that adds a named vector to a collection that exists."""

PAGE_SIZE = 500
FIELDS = [TEXT_KEY, f"{METADATA_KEY}.title", HASH_KEY]


@dataclass(frozen=True, slots=True)
class Bm25Report:
    """Result of adding BM25.

    Attributes:
        collection: its name.
        language: whose stop words and stemmer were used.
        indexed: points that got a sparse vector, or would in a dry run.
        without_words: points that hold no words, which get none.
        points: points of the collection.
        seconds: that it took.
        dry_run: nothing was written.
    """

    collection: str
    language: str
    indexed: int
    without_words: int
    points: int
    seconds: float
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return all fields."""
        return asdict(self)


class Bm25Index:
    """The sparse vectors of a collection.

    Args:
        connection: the collection.
        points: its points.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def __init__(self, connection: CollectionConnection, points: Points) -> None:
        self._connection = connection
        self._points = points
        self._guards_by_hash = True

    def record(self) -> Bm25Record | None:
        """How its vectors are made; `None` if it has none.

        Raises:
            CollectionError: it does not exist, or another version made them otherwise.
        """
        self._connection.info()
        return self._connection.bm25_cache.record(self._connection.name)

    def count(self) -> int:
        """Return the number of points that have a sparse vector."""
        return self._points.count_matching(_has_bm25())

    def add(
        self,
        language: str | None = None,
        *,
        dry_run: bool = False,
        on_progress: Callable[[int], None] | None = None,
    ) -> Bm25Report:
        """Give each point that lacks it the sparse vector of its title and text.

        Dense vectors and payloads stay as they are. A run that was killed is resumed by the next:
        only points without a vector are read. Loads that begin meanwhile write theirs themselves.

        Args:
            language: see `bm25_languages`; `None` is that of the collection, or English.
            dry_run: count alone.
            on_progress: called with the number of points done so far.

        Raises:
            UsageError: the language is unknown.
            CollectionError: the collection does not exist, has BM25 of another language, or is of
                a Qdrant that cannot add vectors.
        """
        started = time.monotonic()
        record = self.record()
        if language is not None:
            check_language(language)
        if record and language not in (None, record.language):
            raise CollectionError(
                f"Collection {self._connection.name!r} has BM25 for {record.language}, not for "
                f"{language}. Take it away first: rdr-qdrant index -c {self._connection.name} "
                "--drop-bm25."
            )
        language = record.language if record else language or DEFAULT_LANGUAGE
        self._check_vector(record)
        if not dry_run:
            self._create(record, language)
        encoder = Bm25Encoder(language)
        indexed = without_words = 0
        while True:
            found, without_words = self._index_missing(
                encoder,
                write=not dry_run,
                progress=partial(_add_up, on_progress, indexed),
            )
            indexed += found
            if dry_run or not found:
                break
        if not dry_run:
            self._record(Bm25Record(language, complete=True))
        return Bm25Report(
            self._connection.name,
            language,
            indexed,
            without_words,
            self._points.count(),
            time.monotonic() - started,
            dry_run,
        )

    def drop(self) -> bool:
        """Take the sparse vectors away; returns whether there were any.

        Raises:
            CollectionError: the collection does not exist.
        """
        connection = self._connection
        info = connection.info()
        recorded = BM25_KEY in metadata_of(info)
        if recorded:
            connection.remove_metadata_key(BM25_KEY)
        if not _has_sparse_vector(info):
            return recorded
        client, name = connection.client, connection.name
        connection.call(lambda: client.delete_vector_name(name, BM25_VECTOR, wait=True))
        connection.until_seen(connection.info, lambda found: not _has_sparse_vector(found))
        return True

    def _check_vector(self, record: Bm25Record | None) -> None:
        """Refuse a sparse vector of other software, and a Qdrant that cannot add one.

        Raises:
            CollectionError: so it is.
        """
        connection = self._connection
        name = connection.name
        if _has_sparse_vector(connection.info()):
            if record is None and self.count():
                raise CollectionError(
                    f"Collection {name!r} has a sparse vector {BM25_VECTOR!r} that does not say "
                    f"how it was made. Take it away first: rdr-qdrant index -c {name} --drop-bm25."
                )
            return
        version = connection.call(lambda: server_version(connection.client))
        if version is not None and version < NEW_VECTOR_SINCE:
            raise CollectionError(
                f"Qdrant adds a vector to a collection that exists since "
                f"{'.'.join(map(str, NEW_VECTOR_SINCE))}, but the server is "
                f"{'.'.join(map(str, version))}. Load into a new collection behind an alias: "
                "rdr-qdrant ingest ... --bm25 --swap-alias."
            )

    def _create(self, record: Bm25Record | None, language: str) -> None:
        from qdrant_client import models

        connection = self._connection
        client, name = connection.client, connection.name
        if not _has_sparse_vector(connection.info()):
            params = models.SparseVectorConfig(modifier=models.Modifier.IDF)
            config = models.SparseVectorNameConfig(sparse=params)
            connection.call(lambda: client.create_vector_name(name, BM25_VECTOR, config, wait=True))
            connection.until_seen(connection.info, _has_sparse_vector)
        if record is None:
            self._record(Bm25Record(language, complete=False))

    def _record(self, record: Bm25Record) -> None:
        recorded = record.to_json()
        self._connection.update(
            lambda info: metadata_of(info).get(BM25_KEY) == recorded, metadata={BM25_KEY: recorded}
        )

    def _index_missing(
        self, encoder: Bm25Encoder, *, write: bool, progress: Callable[[int], None]
    ) -> tuple[int, int]:
        """Give the points that lack it their vector; returns how many, and how many hold no words.

        A point whose text is replaced after it was read is left to that load.
        """
        indexed = without_words = 0
        for records in self._points.scroll_lacking(BM25_VECTOR, FIELDS, PAGE_SIZE):
            vectors: dict[PointId, models.SparseVector] = {}
            hashes: list[Any] = []
            for record in records:
                payload = record.payload or {}
                if vector := encoder.passage(payload):
                    vectors[normalized_id(record.id)] = vector
                    hashes.append(payload.get(HASH_KEY))
            without_words += len(records) - len(vectors)
            if write and vectors:
                self._write(vectors, hashes)
            indexed += len(vectors)
            progress(indexed)
        return indexed, without_words

    def _write(self, vectors: dict[PointId, models.SparseVector], hashes: Sequence[Any]) -> None:
        if self._guards_by_hash and all(isinstance(one, str) for one in hashes):
            try:
                self._points.update_vectors(BM25_VECTOR, vectors, content_hashes=hashes)
                return
            except UnindexedFilterError:  # strict mode
                self._guards_by_hash = False
        self._points.update_vectors(BM25_VECTOR, vectors)


def _has_sparse_vector(info: models.CollectionInfo) -> bool:
    return BM25_VECTOR in (info.config.params.sparse_vectors or {})


def _has_bm25() -> models.Filter:
    from qdrant_client import models

    return models.Filter(must=[models.HasVectorCondition(has_vector=BM25_VECTOR)])


def _add_up(on_progress: Callable[[int], None] | None, before: int, done: int) -> None:
    if on_progress:
        on_progress(before + done)
