"""One collection of passages: created or checked, filled, searched, deleted."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Unpack

from rdr_qdrant.client import (
    RetryPolicy,
    build_index,
    capabilities,
    server_version,
    translate_client_errors,
)
from rdr_qdrant.collection.bm25 import BM25_KEY, BM25_VECTOR, Bm25Record
from rdr_qdrant.collection.bm25_index import Bm25Index
from rdr_qdrant.collection.bulk_indexing import BulkIndexing, warn_if_deferred
from rdr_qdrant.collection.client_calls import run_now
from rdr_qdrant.collection.collection_reader import Hits
from rdr_qdrant.collection.compatibility import check_identity, check_vectors, loading_encoders
from rdr_qdrant.collection.connection import (
    CREATION_KEY,
    PATIENCE_WITH_MISSING_SECONDS,
    CollectionConnection,
    metadata_of,
)
from rdr_qdrant.collection.info import (
    IDENTITY_KEY,
    CollectionDescription,
    describe_collection,
    identity_of,
    model_name,
)
from rdr_qdrant.collection.limits import StrictLimits
from rdr_qdrant.collection.payload import ScoredPassage
from rdr_qdrant.collection.payload_indexes import PayloadIndexes, as_options
from rdr_qdrant.collection.points import Points
from rdr_qdrant.collection.qdrant_params import (
    Version,
    check_supported,
    collection_params,
    copied_params,
    read_settings,
    vector_params,
)
from rdr_qdrant.collection.query import (
    QueryOptions,
    Questions,
    to_scored_passages,
)
from rdr_qdrant.collection.settings import CollectionSettings, differences, missing_payload_indexes
from rdr_qdrant.errors import CollectionError, StoreError
from rdr_qdrant.passages import FILE_KEY, SOURCE_KEY
from rdr_qdrant.registry import PairIdentity

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

logger = logging.getLogger(__name__)


class Collection:
    """A dot-product collection of passages.

    Args:
        client: a `QdrantClient`, of a server or embedded.
        name: the name of the collection or of an alias.
        vector_name: the named vector to use; `""` is the unnamed one.
        retry: makes the calls; by default each is made once.

    Attributes:
        name: see above.
        points: reads, writes, scrolls and deletes its points.
        payload_indexes: creates and checks its payload indexes.
        bulk_indexing: defers, resumes and waits for a server's index building.
        bm25: adds, completes and takes away its sparse vectors.

    Every method raises `StoreError` where Qdrant does not answer or refuses. Those that return
    what Qdrant says of it, delete it or check it raise `CollectionError` where it does not exist.
    """

    def __init__(
        self,
        client: QdrantClient,
        name: str,
        vector_name: str = "",
        retry: RetryPolicy | None = None,
    ) -> None:
        self._connection = CollectionConnection(client, name, vector_name, retry)
        self.name = name
        self.points = Points(self._connection)
        self.payload_indexes = PayloadIndexes(self._connection)
        self.bulk_indexing = BulkIndexing(self._connection)
        self.bm25 = Bm25Index(self._connection, self.points)

    # State

    def exists(self) -> bool:
        """Return whether there is a collection or an alias of this name."""
        return self._connection.exists()

    @property
    def limits(self) -> StrictLimits:
        """The limits of strict mode, see `StrictLimits`."""
        return self._connection.limits

    def info(self) -> models.CollectionInfo:
        """Return Qdrant's own description of it."""
        return self._connection.info()

    def describe(self) -> CollectionDescription:
        """Describe its points, vectors and state; a sample of its vectors is read.

        Raises:
            CollectionError: it holds no vectors of our kind.
        """
        return describe_collection(self._connection)

    def settings(self) -> CollectionSettings:
        """Return the settings that it has."""
        return read_settings(self.info(), self._connection.vector_name)

    def recorded_model(self) -> str | None:
        """Return the name of the pair that made it, where it exists and says so."""
        return model_name(self.info()) if self.exists() else None

    # Creation and deletion

    def create(
        self,
        identity: PairIdentity,
        settings: CollectionSettings | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Create it for dot product and the pair's dimension, with the pair in its metadata.

        Where it exists by now, because another load or a call whose answer was lost created it, it
        is checked instead, together with the metadata.

        Args:
            identity: the pair.
            settings: see `CollectionSettings`; payload indexes are created before any point.
            metadata: further metadata, by which its creator recognises it.

        Returns:
            The id of its creation; `None` if it exists by now.

        Raises:
            CollectionError: this Qdrant does not support one of the settings, or the collection
                that exists by now does not fit.
        """
        from qdrant_client import models

        settings = settings or CollectionSettings()
        if settings.bm25 and self._connection.vector_name == BM25_VECTOR:
            raise CollectionError(
                f"{BM25_VECTOR!r} is the name of the vector of BM25: give the dense one another "
                "(--vector-name)."
            )
        version = self.check_supported(settings)
        client, name = self._connection.client, self.name
        vector = models.VectorParams(
            size=identity.dimension,
            distance=models.Distance.DOT,
            **vector_params(settings, version),
        )
        vector_name = self._connection.vector_name
        creation_id: str | None = uuid.uuid4().hex
        metadata = dict(metadata or {})
        if settings.bm25:
            metadata[BM25_KEY] = Bm25Record(settings.bm25).to_json()
        try:
            self._connection.call(
                lambda: client.create_collection(
                    name,
                    vectors_config={vector_name: vector} if vector_name else vector,
                    metadata={
                        IDENTITY_KEY: identity.to_metadata(),
                        CREATION_KEY: creation_id,
                        **metadata,
                    },
                    **collection_params(settings, version),
                )
            )
        except StoreError:
            if not self._connection.until_seen(self.exists, bool, PATIENCE_WITH_MISSING_SECONDS):
                raise
            self._check_metadata(metadata)
            self.check(identity)
            creation_id = None
        else:
            self._wait_until_created(creation_id)
        self.payload_indexes.create_missing(settings, version)
        if self.limits.filters_need_index:
            with suppress(CollectionError, StoreError):  # what needs it says so
                for key in (SOURCE_KEY, FILE_KEY):
                    self.payload_indexes.make_filterable(key)
        self._warn_about_ignored(settings)
        self._warn_about_single_copies()
        return creation_id

    def create_like(self, info: models.CollectionInfo, metadata: Mapping[str, Any]) -> None:
        """Create it with another collection's vectors, settings and this metadata.

        Payload indexes are none of it; see `PayloadIndexes.copy_missing`.

        Args:
            info: Qdrant's description of the other one.
            metadata: of the new one.
        """
        client, parameters = self._connection.client, copied_params(info.config)
        if IDENTITY_KEY in metadata:
            metadata = {**metadata, CREATION_KEY: uuid.uuid4().hex}
        self._connection.call(
            lambda: client.create_collection(
                self.name, metadata=dict(metadata) or None, **parameters
            )
        )
        self._wait_until_created(metadata.get(CREATION_KEY))

    def _wait_until_created(self, creation_id: str | None) -> None:
        """Wait until this collection is seen, rather than none or a former one of its name."""

        def is_seen(info: models.CollectionInfo | None) -> bool:
            return info is not None and metadata_of(info).get(CREATION_KEY) in (creation_id, None)

        self._connection.until_seen(self._connection.find_info, is_seen)

    def creation_id(self) -> str | None:
        """The random id of its creation, another one once it was deleted and created again.

        `None` if it has none, or a cluster does not show it yet.
        """
        found = metadata_of(self.info()).get(CREATION_KEY)
        return found if isinstance(found, str) else None

    def recorded(self, key: str) -> Any:
        """The value under this key of its own metadata, `None` if there is none."""
        return metadata_of(self.info()).get(key)

    def record(self, key: str, value: Any) -> None:
        """Put a value into its own metadata; the others stay."""
        self._connection.record(key, value)

    def delete(self) -> None:
        """Delete it with all its points; returns when it is seen to be gone.

        Raises:
            CollectionError: nothing says that we created it, or this is an alias.
        """
        self.check_ours("deleted")
        client = self._connection.client
        found = self._connection.call(client.get_collections).collections
        if self.name not in [one.name for one in found]:
            raise CollectionError(
                f"{self.name!r} is an alias of a collection, so nothing is deleted. To put a new "
                "collection behind it, load with --swap-alias (swap_alias=True)."
            )
        created = self.creation_id()

        def is_gone(info: models.CollectionInfo | None) -> bool:
            return info is None or metadata_of(info).get(CREATION_KEY) != created

        self._connection.call(lambda: client.delete_collection(self.name))
        self._connection.until_seen(self._connection.find_info, is_gone)

    def remove_metadata_key(self, key: str) -> None:
        """Remove one key from the collection's own metadata."""
        self._connection.remove_metadata_key(key)

    # Checks

    def loading_encoders(self, label: str) -> AbstractContextManager[None]:
        """Load the encoders of the pair `label` to use them with this collection.

        Raises:
            CollectionError: another named pair made it, or its vector is of another distance or
                name.
            ModelError: (inside) the encoders cannot be loaded; names the pair that made it.
        """
        info, vector_name = self.info(), self._connection.vector_name
        vectors = info.config.params.vectors
        return loading_encoders(self.name, identity_of(info), label, vectors, vector_name)

    def check(self, identity: PairIdentity, *, allow_unverified: bool = False) -> None:
        """Refuse a collection that does not fit the pair; it is never altered.

        Raises:
            CollectionError: its distance, dimension, vector name, encoders, maximum length or
                passage format differ.
        """
        info, vector_name = self.info(), self._connection.vector_name
        check_info(self.name, vector_name, info, identity, allow_unverified=allow_unverified)

    def check_bm25(self, language: str | None = None) -> None:
        """Refuse a collection without BM25, or with that of another language.

        Raises:
            CollectionError: so it is.
        """
        self._connection.info()
        self._connection.reader.state.question_encoder(language)

    def check_ours(self, action: str) -> None:
        """Refuse a collection whose metadata does not say that we created it.

        Args:
            action: a participle for the message: `deleted`, `pruned`.

        Raises:
            CollectionError: it does not.
        """
        if identity_of(self.info()) is None:
            raise CollectionError(
                f"Collection {self.name!r} does not say that rdr-qdrant made it (other software or "
                f"a Qdrant before 1.16 did), so nothing of it is {action}. It is left as it is."
            )

    def check_supported(self, settings: CollectionSettings | None) -> Version | None:
        """Refuse settings that this Qdrant does not support.

        Returns:
            The server's version, where there are settings and the version is known.

        Raises:
            CollectionError: names the first such setting and the remedy.
        """
        if settings is None or not settings.explicitly_set():
            return None
        client = self._connection.client
        version = self._connection.call(lambda: server_version(client))
        embedded = not capabilities(client).supports_clustering
        check_supported(settings, version, embedded=embedded)
        return version

    def warn_about_differences(self, settings: CollectionSettings | None) -> None:
        """Log a warning for settings that differ, and one for payload indexes that are missing."""
        if settings is None or not settings.explicitly_set():
            return
        found = read_settings(self.info(), self._connection.vector_name)
        missing = missing_payload_indexes(settings, found)
        if missing:
            logger.warning(
                "Collection %r has no payload indexes %s: filters by them read every payload. "
                "ingest creates them where rdr-qdrant made the collection; otherwise Qdrant's own "
                "create_payload_index does",
                self.name,
                as_options(missing),
            )
        different = "; ".join(differences(settings, found))
        if different:
            logger.warning(
                "Collection %r keeps its own settings: %s. For others, load into a collection of "
                "another name, or re-index with --swap-alias",
                self.name,
                different,
            )

    def _check_metadata(self, metadata: Mapping[str, Any]) -> None:
        found = metadata_of(self.info())
        if any(found.get(key) != value for key, value in metadata.items()):
            raise CollectionError(
                f"Collection {self.name!r} was made by another load since this one began, so "
                "nothing is written to it. When that load has ended, run the same command again."
            )

    def _warn_about_ignored(self, settings: CollectionSettings) -> None:
        if not settings.explicitly_set():
            return
        found = read_settings(self.info(), self._connection.vector_name)
        missing = missing_payload_indexes(settings, found)
        ignored = differences(settings, found) + [f"payload index {k} is missing" for k in missing]
        if ignored:
            logger.warning(
                "This Qdrant did not keep all settings of the new collection %r: %s",
                self.name,
                "; ".join(ignored),
            )

    def _warn_about_single_copies(self) -> None:
        client = self._connection.client
        if not capabilities(client).supports_clustering:
            return
        try:
            status = self._connection.call(client.cluster_status)
        except StoreError:  # not for this key, or not of this server
            return
        nodes = len(getattr(status, "peers", {}))
        if nodes > 1 and (self.settings().replication_factor or 1) == 1:
            logger.warning(
                "Collection %r has one copy of each shard on a cluster of %d nodes: with any of "
                "them down it can be neither searched nor loaded. Make it with --set "
                "replication_factor=2 to survive the loss of one",
                self.name,
                nodes,
            )

    # Search and index

    def search(self, vectors: Any, **options: Unpack[QueryOptions]) -> list[list[ScoredPassage]]:
        """Return for each vector the `k` passages with the highest inner product, best first.

        Args:
            vectors: of the questions, float32 [n, dim].
            options: see `QueryOptions`.
        """
        found = self.query_points(Questions(vectors), **options)
        return [to_scored_passages(points) for points in found]

    def query_points(self, questions: Questions, **options: Unpack[QueryOptions]) -> Hits:
        """Return for each question the best `k` points, in the mode of the options."""
        reader = self._connection.reader
        if reader.state.is_stale_for(options):
            self.info()
        return run_now(reader.query_points(questions, **options))

    def with_neighbors(self, found: Hits, neighbors: int, conditions: Any) -> Hits:
        """Join to each hit the parts of its text before and after it, in one request for all.

        Args:
            found: the hits of each question, best first.
            neighbors: parts on each side of a hit; 0 leaves the hits as they are.
            conditions: the filter of the search, which neighbors have to match as well; see
                `QueryOptions.filter`.
        """
        return run_now(self._connection.reader.with_neighbors(found, neighbors, conditions))

    def explain_no_results(self, conditions: Any) -> str | None:
        """Describe why a filter may find nothing: it has metadata keys that no passage has.

        Args:
            conditions: see `QueryOptions.filter`.

        Returns:
            A line of text; `None` where nothing is conspicuous, or cannot be found out, as in
            strict mode; nor where reads are limited, of which searches need every one.
        """
        return run_now(self._connection.reader.explain_no_results(conditions))

    def build_index(self, progress: Callable[[float], None] | None = None) -> bool:
        """Build an embedded collection's index where it pays; returns whether it was built.

        Args:
            progress: called a few times a second with the seconds since the start.
        """
        with translate_client_errors(self._connection.client):
            return build_index(self._connection.client, self.name, progress)


def check_info(
    name: str,
    vector_name: str,
    info: models.CollectionInfo,
    identity: PairIdentity,
    *,
    allow_unverified: bool,
) -> None:
    """Refuse a collection, by Qdrant's description of it, that does not fit the pair.

    Raises:
        CollectionError: it does not fit.
    """
    warn_if_deferred(name, info)
    vectors = info.config.params.vectors
    check_vectors(name, vectors, dimension=identity.dimension, vector_name=vector_name)
    check_identity(name, identity_of(info), identity, allow_unverified=allow_unverified)
