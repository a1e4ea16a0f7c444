"""`Bm25Index`: adds BM25 to a collection that exists, completes it, takes it away."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import LimitExceededError, UnindexedFilterError, server_version
from rdr_qdrant.collection.bm25 import (
    BM25_KEY,
    BM25_VECTOR,
    DEFAULT_LANGUAGE,
    Bm25Encoder,
    Bm25Record,
    check_language,
)
from rdr_qdrant.collection.connection import CollectionConnection, metadata_of
from rdr_qdrant.collection.filters import has_vector
from rdr_qdrant.collection.payload import HASH_KEY, METADATA_KEY, TEXT_KEY, stored_metadata
from rdr_qdrant.collection.point_encoding import PointId, normalized_id
from rdr_qdrant.collection.points import Points
from rdr_qdrant.errors import CollectionError, StoreError

if TYPE_CHECKING:
    from qdrant_client import models

NEW_VECTOR_SINCE = (1, 18)
"""First version that adds a named vector to a collection that exists."""

PAGE_SIZE = 500
MOST_GUARDED_PASSES = 3
"""Then the filter by content hashes, which an index of other software may keep from matching, is
left out."""
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
        return self._connection.reader.state.bm25_record()

    def count(self) -> int:
        """Return the number of points that have a sparse vector."""
        return self._points.count(has_vector(BM25_VECTOR))

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
            self._check_language(language)
        language = record.language if record else language or DEFAULT_LANGUAGE
        self._check_vector(record)
        if not dry_run:
            self._create(record, language)
        encoder = Bm25Encoder(language)
        indexed = without_words = 0
        for number in itertools.count(1):
            self._guards_by_hash &= number <= MOST_GUARDED_PASSES
            before = indexed
            indexed, without_words = self._index_missing(encoder, before, not dry_run, on_progress)
            if dry_run or indexed == before:
                break
        if not dry_run:
            self._check_language(language)
            self._connection.record(BM25_KEY, Bm25Record(language, complete=True).to_json())
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
        try:
            connection.call(lambda: client.delete_vector_name(name, BM25_VECTOR, wait=True))
        except StoreError:
            if _has_sparse_vector(connection.info()):
                raise  # otherwise it is gone: an answer was lost, or another run was faster
        connection.until_seen(connection.info, lambda found: not _has_sparse_vector(found))
        return True

    def _check_vector(self, record: Bm25Record | None) -> None:
        """Refuse a vector of other software, and a Qdrant that cannot add one.

        Raises:
            CollectionError: so it is.
        """
        from qdrant_client import models

        connection = self._connection
        name = connection.name
        params = connection.info().config.params
        if isinstance(params.vectors, Mapping) and BM25_VECTOR in params.vectors:
            raise CollectionError(
                f"The dense vector of collection {name!r} is named {BM25_VECTOR!r}, as that of "
                "BM25 has to be. Load into a new collection with another --vector-name and --bm25."
            )
        if sparse := (params.sparse_vectors or {}).get(BM25_VECTOR):
            if (record is None and self.count()) or sparse.modifier != models.Modifier.IDF:
                raise CollectionError(
                    f"Collection {name!r} has a sparse vector {BM25_VECTOR!r} of other software, "
                    "which does not say how it was made, or is not weighted (modifier IDF). Take "
                    f"it away first: rdr-qdrant index -c {name} --drop-bm25."
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
            try:
                connection.call(
                    lambda: client.create_vector_name(name, BM25_VECTOR, config, wait=True)
                )
            except StoreError:
                if not _has_sparse_vector(connection.info()):
                    raise  # otherwise it is there: an answer was lost, or another run was faster
            connection.until_seen(connection.info, _has_sparse_vector)
        if record is None:
            self._check_language(language)
            connection.record(BM25_KEY, Bm25Record(language, complete=False).to_json())

    def _check_language(self, language: str) -> None:
        """Refuse a collection whose BM25 is, by now, of another language.

        Raises:
            CollectionError: so it is.
        """
        name, record = self._connection.name, self.record()
        if record and record.language != language:
            raise CollectionError(
                f"Collection {name!r} has BM25 for {record.language}, not for {language}. Take it "
                f"away first: rdr-qdrant index -c {name} --drop-bm25."
            )

    def _index_missing(
        self,
        encoder: Bm25Encoder,
        indexed: int,
        write: bool,
        on_progress: Callable[[int], None] | None,
    ) -> tuple[int, int]:
        """Give the points that lack it their vector.

        A point whose text is replaced after it was read is left to that load.

        Returns:
            The points done, with the `indexed` ones before, and those that hold no words.
        """
        without_words = 0
        for records in self._points.scroll_lacking(BM25_VECTOR, FIELDS, PAGE_SIZE):
            payloads = {normalized_id(record.id): record.payload or {} for record in records}
            made = {one: encoder.passage(payload) for one, payload in payloads.items()}
            vectors = {one: vector for one, vector in made.items() if vector is not None}
            without_words += len(records) - len(vectors)
            if write and vectors:
                self._write(vectors, payloads)
            indexed += len(vectors)
            if on_progress:
                on_progress(indexed)
        return indexed, without_words

    def _write(
        self,
        vectors: Mapping[PointId, models.SparseVector],
        payloads: Mapping[PointId, Mapping[str, Any]],
    ) -> None:
        hashes = {
            one: found for one in vectors if isinstance(found := payloads[one].get(HASH_KEY), str)
        }
        if self._guards_by_hash and len(hashes) == len(vectors):
            try:
                self._points.update_vectors(BM25_VECTOR, vectors, content_hashes=hashes)
                return
            except (UnindexedFilterError, LimitExceededError):  # strict mode
                self._guards_by_hash = False
        self._points.update_vectors(BM25_VECTOR, vectors)
        now = self._points.retrieve_payloads(list(vectors))
        replaced = [one for one in now if _fields(now[one]) != _fields(payloads[one])]
        if replaced:  # they lack it again, so that the next pass reads them
            self._points.delete_vectors(BM25_VECTOR, replaced)


def _fields(payload: Mapping[str, Any]) -> tuple[Any, ...]:
    return stored_metadata(payload).get("title"), payload.get(TEXT_KEY), payload.get(HASH_KEY)


def _has_sparse_vector(info: models.CollectionInfo) -> bool:
    return BM25_VECTOR in (info.config.params.sparse_vectors or {})
