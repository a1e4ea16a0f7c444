"""One collection, by Qdrant's own calls; nothing outside this room asks Qdrant about points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rdr_qdrant.collection.description import CollectionDescription, describe
from rdr_qdrant.collection.fit import check_identity, check_vectors
from rdr_qdrant.collection.payload import HASH_KEY, METADATA_KEY, Hit, from_payload
from rdr_qdrant.errors import CollectionError
from rdr_qdrant.models import PairIdentity
from rdr_qdrant.store import build_index, reaching

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

IDENTITY_KEY = "rdr_qdrant"
"""Where in the collection's own metadata our part lies."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point to be written.

    Attributes:
        id: its Qdrant id, a number below 2**64 or a UUID.
        vector: float32 [dim].
        payload: see `collection.payload`.
    """

    id: int | str
    vector: Any
    payload: Mapping[str, Any]


class Collection:
    """A dot-product collection of passages.

    Args:
        client: a `QdrantClient`, of a server or embedded.
        name: the collection's name.
        vector_name: the named vector to use; `""` is the unnamed one.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def __init__(self, client: QdrantClient, name: str, vector_name: str = "") -> None:
        self.client = client
        self.name = name
        self.vector_name = vector_name

    def exists(self) -> bool:
        """Whether it is there."""
        with reaching(self.client):
            return self.client.collection_exists(self.name)

    def create(self, identity: PairIdentity) -> None:
        """Make it: dot product, the pair's dimension, and what made it in its metadata."""
        from qdrant_client import models

        params = models.VectorParams(size=identity.dimension, distance=models.Distance.DOT)
        with reaching(self.client):
            self.client.create_collection(
                self.name,
                vectors_config={self.vector_name: params} if self.vector_name else params,
                metadata={IDENTITY_KEY: identity.to_metadata()},
            )

    def check(self, identity: PairIdentity, *, allow_unverified: bool = False) -> None:
        """Refuse to go on where it does not fit the pair; it is never altered.

        Raises:
            CollectionError: it is missing, or its distance, dimension, vector name, encoders,
                most tokens or passage format are others.
        """
        info = self._info()
        check_vectors(
            self.name,
            info.config.params.vectors,
            dimension=identity.dimension,
            vector_name=self.vector_name,
        )
        check_identity(self.name, _identity(info), identity, allow_unverified=allow_unverified)

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

    def count(self) -> int:
        """Number of points, exact."""
        with reaching(self.client):
            return self.client.count(self.name, exact=True).count

    def stored(self, ids: Sequence[int | str]) -> dict[int | str, tuple[str, Mapping[str, Any]]]:
        """Content hash and metadata of those of these points that are there."""
        with reaching(self.client):
            records = self.client.retrieve(
                self.name, list(ids), with_payload=[HASH_KEY, METADATA_KEY], with_vectors=False
            )
        found: dict[int | str, tuple[str, Mapping[str, Any]]] = {}
        for record in records:
            payload = record.payload or {}
            found[_plain(record.id)] = (
                str(payload.get(HASH_KEY, "")),
                payload.get(METADATA_KEY) or {},
            )
        return found

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points, replacing those of the same id; returns when they are written."""
        from qdrant_client import models

        structs = [
            models.PointStruct(
                id=point.id,
                vector=self._named(point.vector.tolist()),
                payload=dict(point.payload),
            )
            for point in points
        ]
        with reaching(self.client):
            self.client.upsert(self.name, points=structs, wait=True)

    def replace_metadata(self, point_id: int | str, metadata: Mapping[str, Any]) -> None:
        """Write the metadata of a point anew; its text and vector stay."""
        with reaching(self.client):
            self.client.set_payload(
                self.name, payload={METADATA_KEY: dict(metadata)}, points=[point_id], wait=True
            )

    def query(
        self,
        vectors: Any,
        *,
        k: int,
        filter: models.Filter | None = None,
        score_threshold: float | None = None,
        exact: bool = False,
    ) -> list[list[Hit]]:
        """For each question vector the `k` passages with the highest inner product, best first.

        Args:
            vectors: float32 [n, dim].
            k: most passages for each.
            filter: only points that fulfil it.
            score_threshold: only points with at least this raw inner product.
            exact: compare with every point instead of going through the index.
        """
        from qdrant_client import models

        requests = [
            models.QueryRequest(
                query=vector.tolist(),
                using=self.vector_name or None,
                limit=k,
                filter=filter,
                score_threshold=score_threshold,
                params=models.SearchParams(exact=exact),
                with_payload=True,
            )
            for vector in vectors
        ]
        with reaching(self.client):
            responses = self.client.query_batch_points(self.name, requests=requests)
        return [
            [Hit(p.score, from_payload(_plain(p.id), p.payload)) for p in response.points]
            for response in responses
        ]

    def build_index(self, progress: Callable[[float], None] | None = None) -> bool:
        """Build the index where it pays and is not the server's own task; whether it was built.

        Args:
            progress: called a few times a second with the seconds since the start.
        """
        with reaching(self.client):
            return build_index(self.client, self.name, progress)

    def _named(self, vector: Any) -> Any:
        return {self.vector_name: vector} if self.vector_name else vector

    def _info(self) -> models.CollectionInfo:
        if not self.exists():
            with reaching(self.client):
                names = sorted(c.name for c in self.client.get_collections().collections)
            there = f"There are: {', '.join(names)}." if names else "There is none yet."
            raise CollectionError(
                f"No collection {self.name!r} here. {there} "
                f"Make one with: rdr-qdrant ingest FILE -c {self.name}"
            )
        with reaching(self.client):
            return self.client.get_collection(self.name)


def _plain(point_id: int | str | UUID) -> int | str:
    return str(point_id) if isinstance(point_id, UUID) else point_id


def _identity(info: models.CollectionInfo) -> Mapping[str, Any] | None:
    found = (info.config.metadata or {}).get(IDENTITY_KEY)
    return found if isinstance(found, Mapping) else None
