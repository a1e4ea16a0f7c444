"""One collection, by Qdrant's own calls; nothing outside this room asks Qdrant about points."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

from rdr_qdrant.client import (
    build_index,
    capabilities,
    server_version,
    translate_client_errors,
)
from rdr_qdrant.collection.bulk_indexing import warn_if_deferred
from rdr_qdrant.collection.compatibility import check_identity, check_vectors
from rdr_qdrant.collection.filters import KnownIndexes
from rdr_qdrant.collection.info import (
    IDENTITY_KEY,
    CollectionDescription,
    describe,
    identity_of,
)
from rdr_qdrant.collection.payload import Hit
from rdr_qdrant.collection.payload_indexes import FilteredPoints, in_words
from rdr_qdrant.collection.qdrant_params import (
    Version,
    check_possible,
    collection_settings,
    settings_of,
    vector_settings,
)
from rdr_qdrant.collection.query import QueryOptions, query_requests, to_hits
from rdr_qdrant.collection.settings import CollectionSettings, differences, missing_payload_indexes
from rdr_qdrant.errors import CollectionError, StoreError
from rdr_qdrant.registry import PairIdentity

if TYPE_CHECKING:
    from qdrant_client import models

logger = logging.getLogger(__name__)


class Collection(FilteredPoints):
    """A dot-product collection of passages.

    Args:
        client: a `QdrantClient`, of a server or embedded.
        name: the collection's name.
        vector_name: the named vector to use; `""` is the unnamed one.
        retrying: makes the calls; by default each is made once.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    @cached_property
    def _indexes(self) -> KnownIndexes:
        return KnownIndexes()

    def create(
        self,
        identity: PairIdentity,
        settings: CollectionSettings | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """Make it: dot product, the pair's dimension, and what made it in its metadata.

        Where it is there by now, because another load or a call whose answer was lost made it, it
        is checked instead, with the notes.

        Args:
            identity: the pair.
            settings: how it is laid out; payload indexes are made before any point is there.
            notes: further metadata; what is there by now without them is another's.

        Raises:
            CollectionError: this Qdrant does not have one of the settings, or what is there by now
                does not fit.
        """
        from qdrant_client import models

        settings = settings or CollectionSettings()
        version = self.check_possible(settings)
        params = models.VectorParams(
            size=identity.dimension,
            distance=models.Distance.DOT,
            **vector_settings(settings, version),
        )
        vectors = {self.vector_name: params} if self.vector_name else params
        metadata = {IDENTITY_KEY: identity.to_metadata(), **(notes or {})}
        try:
            self._ask(
                lambda: self.client.create_collection(
                    self.name,
                    vectors_config=vectors,
                    metadata=metadata,
                    **collection_settings(settings, version),
                )
            )
        except StoreError:
            if not self.exists():
                raise
            self._check_notes(notes or {})
            self.check(identity)
        self.make_payload_indexes(settings, version)
        different = self._differences(settings)
        if different:
            logger.warning(
                "This Qdrant did not keep all settings of the new collection %r: %s",
                self.name,
                different,
            )

    def _check_notes(self, notes: Mapping[str, Any]) -> None:
        there = self.info().config.metadata or {}
        if any(there.get(key) != note for key, note in notes.items()):
            raise CollectionError(
                f"Collection {self.name!r} was made by another load since this one began, so "
                "nothing is written to it. When that load has ended, run the same command again."
            )

    def check_possible(self, settings: CollectionSettings | None) -> Version | None:
        """Refuse settings that this Qdrant does not have; its version, where that matters.

        Raises:
            CollectionError: naming the first such setting, and what to do.
        """
        if settings is None or not settings.given():
            return None
        version = self._ask(lambda: server_version(self.client))
        embedded = not capabilities(self.client).supports_clustering
        check_possible(settings, version, embedded=embedded)
        return version

    def warn_about_differences(self, asked: CollectionSettings | None) -> None:
        """Warn, in one line each, of settings and payload indexes that it does not have."""
        if asked is None or not asked.given():
            return
        found = settings_of(self.info(), self.vector_name)
        missing = missing_payload_indexes(asked, found)
        if missing:
            logger.warning(
                "Collection %r has no payload indexes %s: filters by them read every payload. "
                "ingest makes them where rdr-qdrant made the collection; otherwise Qdrant's own "
                "create_payload_index does",
                self.name,
                in_words(missing),
            )
        different = "; ".join(differences(asked, found))
        if different:
            logger.warning(
                "Collection %r keeps its own settings: %s. To have them otherwise, load into a "
                "collection of another name, or re-index with --swap-alias",
                self.name,
                different,
            )

    def _differences(self, asked: CollectionSettings | None) -> str:
        if asked is None or not asked.given():
            return ""
        found = settings_of(self.info(), self.vector_name)
        missing = [
            f"payload index {key} is missing" for key in missing_payload_indexes(asked, found)
        ]
        return "; ".join([*differences(asked, found), *missing])

    def delete(self) -> None:
        """Delete it with all its points.

        Raises:
            CollectionError: we did not make it, or it does not say so, or this is an alias.
        """
        self.check_ours("deleted")
        names = [one.name for one in self._ask(lambda: self.client.get_collections()).collections]
        if self.name not in names:
            raise CollectionError(
                f"{self.name!r} is an alias of a collection, so nothing is deleted. To put a new "
                "collection behind it, load with --swap-alias (swap_alias=True)."
            )
        self._ask(lambda: self.client.delete_collection(self.name))

    def check_ours(self, what: str) -> None:
        """Refuse where its metadata does not say that we made it.

        Args:
            what: what would happen to it, as a participle.

        Raises:
            CollectionError: it does not.
        """
        if identity_of(self.info()) is None:
            raise CollectionError(
                f"Collection {self.name!r} does not say that rdr-qdrant made it (other software or "
                f"a Qdrant before 1.16 did), so nothing of it is {what}. It is left as it is."
            )

    def check(self, identity: PairIdentity, *, allow_unverified: bool = False) -> None:
        """Refuse to go on where it does not fit the pair; it is never altered.

        Raises:
            CollectionError: it is missing, or its distance, dimension, vector name, encoders,
                most tokens or passage format are others.
        """
        info = self.info()
        check_info(self.name, self.vector_name, info, identity, allow_unverified=allow_unverified)
        self._indexes.note(info)

    def describe(self) -> CollectionDescription:
        """Its points, vectors and state, with a sample of vectors read.

        Raises:
            CollectionError: it is missing or holds no vectors of our kind.
        """
        info = self.info()
        with translate_client_errors(self.client):
            return describe(self.client, self.name, self.vector_name, info, identity_of(info))

    def recorded_model(self) -> str | None:
        """The name of the pair that made it, where it is there and says so."""
        identity = identity_of(self.info()) if self.exists() else None
        return str(identity["model"]) if identity and "model" in identity else None

    def query(self, vectors: Any, **options: Unpack[QueryOptions]) -> list[list[Hit]]:
        """For each question vector the `k` passages with the highest inner product, best first.

        Args:
            vectors: float32 [n, dim].
            options: see `QueryOptions`.
        """
        return [to_hits(points) for points in self.query_points(vectors, **options)]

    def query_points(
        self, vectors: Any, **options: Unpack[QueryOptions]
    ) -> list[list[models.ScoredPoint]]:
        """`query` with Qdrant's own points as answers."""
        if self._indexes.outdated_for(options.get("filter")):
            self._indexes.note(self._ask(lambda: self.client.get_collection(self.name)))
        requests = query_requests(vectors, self.vector_name, options, self._indexes.types)
        responses = self._ask(lambda: self.client.query_batch_points(self.name, requests=requests))
        return [response.points for response in responses]

    def build_index(self, progress: Callable[[float], None] | None = None) -> bool:
        """Build the index where it pays and is not the server's own task; whether it was built.

        Args:
            progress: called a few times a second with the seconds since the start.
        """
        with translate_client_errors(self.client):
            return build_index(self.client, self.name, progress)


def check_info(
    name: str,
    vector_name: str,
    info: models.CollectionInfo,
    identity: PairIdentity,
    *,
    allow_unverified: bool,
) -> None:
    """Refuse to go on where a collection that says this of itself does not fit the pair.

    Raises:
        CollectionError: it does not.
    """
    warn_if_deferred(name, info)
    vectors = info.config.params.vectors
    check_vectors(name, vectors, dimension=identity.dimension, vector_name=vector_name)
    check_identity(name, identity_of(info), identity, allow_unverified=allow_unverified)
