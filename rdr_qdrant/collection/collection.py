"""One collection, by Qdrant's own calls; nothing outside this room asks Qdrant about points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from rdr_qdrant.collection.description import IDENTITY_KEY, CollectionDescription, describe
from rdr_qdrant.collection.fit import check_identity, check_vectors
from rdr_qdrant.collection.payload import Hit
from rdr_qdrant.collection.points import Points
from rdr_qdrant.collection.querying import QueryOptions, query_requests, to_hits
from rdr_qdrant.errors import CollectionError, StoreError
from rdr_qdrant.models import PairIdentity
from rdr_qdrant.store import build_index, place_of, reaching

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient, models


class Collection(Points):
    """A dot-product collection of passages.

    Args:
        client: a `QdrantClient`, of a server or embedded.
        name: the collection's name.
        vector_name: the named vector to use; `""` is the unnamed one.
        retrying: makes the calls; by default each is made once.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def exists(self) -> bool:
        """Whether it is there."""
        return self._ask(lambda: self.client.collection_exists(self.name))

    def create(self, identity: PairIdentity) -> None:
        """Make it: dot product, the pair's dimension, and what made it in its metadata.

        Where it is there by now, because another load or a call whose answer was lost made it, it
        is checked instead.
        """
        from qdrant_client import models

        params = models.VectorParams(size=identity.dimension, distance=models.Distance.DOT)
        vectors = {self.vector_name: params} if self.vector_name else params
        metadata = {IDENTITY_KEY: identity.to_metadata()}
        try:
            self._ask(
                lambda: self.client.create_collection(
                    self.name, vectors_config=vectors, metadata=metadata
                )
            )
        except StoreError:
            if not self.exists():
                raise
            self.check(identity)

    def delete(self) -> None:
        """Delete it with all its points.

        Raises:
            CollectionError: we did not make it, or it does not say so.
        """
        self.check_ours("deleted")
        self._ask(lambda: self.client.delete_collection(self.name))

    def check_ours(self, what: str) -> None:
        """Refuse where its metadata does not say that we made it.

        Args:
            what: what would happen to it, as a participle.

        Raises:
            CollectionError: it does not.
        """
        if _identity(self._info()) is None:
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
        info = self._info()
        check_info(self.name, self.vector_name, info, identity, allow_unverified=allow_unverified)

    def describe(self) -> CollectionDescription:
        """Its points, vectors and state, with a sample of vectors read.

        Raises:
            CollectionError: it is missing or holds no vectors of our kind.
        """
        info = self._info()
        with reaching(self.client):
            return describe(self.client, self.name, self.vector_name, info, _identity(info))

    def recorded_model(self) -> str | None:
        """The name of the pair that made it, where it is there and says so."""
        identity = _identity(self._info()) if self.exists() else None
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
        requests = query_requests(vectors, self.vector_name, options)
        responses = self._ask(lambda: self.client.query_batch_points(self.name, requests=requests))
        return [response.points for response in responses]

    def build_index(self, progress: Callable[[float], None] | None = None) -> bool:
        """Build the index where it pays and is not the server's own task; whether it was built.

        Args:
            progress: called a few times a second with the seconds since the start.
        """
        with reaching(self.client):
            return build_index(self.client, self.name, progress)

    def _info(self) -> models.CollectionInfo:
        if not self.exists():
            there = self._ask(lambda: self.client.get_collections()).collections
            raise missing(self.client, self.name, there)
        return self._ask(lambda: self.client.get_collection(self.name))


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
    vectors = info.config.params.vectors
    check_vectors(name, vectors, dimension=identity.dimension, vector_name=vector_name)
    check_identity(name, _identity(info), identity, allow_unverified=allow_unverified)


def missing(
    client: QdrantClient | AsyncQdrantClient,
    name: str,
    there: Sequence[models.CollectionDescription],
) -> CollectionError:
    """The error that tells of a missing collection, and which there are."""
    names = sorted(found.name for found in there)
    others = f"There are: {', '.join(names)}." if names else "There is none yet."
    return CollectionError(
        f"No collection {name!r} in {place_of(client)}. {others} "
        f"Make one with: rdr-qdrant ingest FILE -c {name}"
    )


def _identity(info: models.CollectionInfo) -> Mapping[str, Any] | None:
    found = (info.config.metadata or {}).get(IDENTITY_KEY)
    return found if isinstance(found, Mapping) else None
