"""Descriptions of collections: one in detail, or all of a Qdrant in a line each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import PartlyDownError, disk_bytes, translate_client_errors
from rdr_qdrant.collection.aliases import Aliases
from rdr_qdrant.collection.bm25 import BM25_VECTOR
from rdr_qdrant.collection.bulk_indexing import indexing_deferred
from rdr_qdrant.collection.compatibility import check_vectors
from rdr_qdrant.collection.connection import CollectionConnection, metadata_of
from rdr_qdrant.collection.filters import has_vector
from rdr_qdrant.collection.point_encoding import own_vector
from rdr_qdrant.collection.qdrant_params import read_settings

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

IDENTITY_KEY = "rdr_qdrant"
"""Key of the collection's own metadata that holds the identity of its encoders."""

SPLIT_KEY = "rdr_qdrant_split"
"""Key of a collection's metadata that says how its texts were split."""

NORM_SAMPLE = 256
"""Number of vectors whose lengths are measured."""


@dataclass(frozen=True, slots=True)
class CollectionDescription:
    """Contents and state of a collection.

    Attributes:
        name: its name.
        points: number of points.
        dimension: numbers in a vector.
        distance: always `Dot`.
        norms: `min`, `median`, `max` of the lengths of a random sample of vectors; `None` if empty.
        status: Qdrant's own: `green` when everything is indexed, `yellow` while it works.
        indexed_vectors: dense vectors in the index; the others are scanned.
        quantization: Qdrant's own settings, or `None`.
        disk_bytes: size on disk, or `None` for a server, which does not report it.
        identity: the encoders that made it, or `None` where it does not say.
        alias_of: name of the collection, where `name` is an alias.
        settings: see `CollectionSettings`.
        index_put_off: whether a bulk load that has not finished defers index building.
        split: how its texts were split (`rows`, `documents`), or `None` where it does not say.
        points_approximate: `points` is an estimate, since strict mode takes no exact count.
        bm25: how its sparse vectors were made, and `points`, the number of those that have one;
            `None` if it has none.
    """

    name: str
    points: int
    dimension: int
    distance: str
    norms: Mapping[str, float] | None
    status: str
    indexed_vectors: int
    quantization: Mapping[str, Any] | None
    disk_bytes: int | None
    identity: Mapping[str, Any] | None
    alias_of: str | None
    settings: Mapping[str, Any]
    index_put_off: bool
    split: Mapping[str, Any] | None
    points_approximate: bool = False
    bm25: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all fields but the probe vectors, which mean nothing to a reader."""
        fields = asdict(self)
        if self.identity is not None:
            probes = ("probe", "question_probe")
            fields["identity"] = {k: v for k, v in self.identity.items() if k not in probes}
        return fields


@dataclass(frozen=True, slots=True)
class ListedCollection:
    """One line of a list of collections.

    Attributes:
        name: its name.
        points: exact number of points; `None` where a part of its cluster does not answer.
        model: the pair that made it, or `None` where it does not say.
        aliases: its aliases, sorted.
        index_put_off: whether a bulk load that has not finished defers index building.
        points_approximate: `points` is an estimate, since strict mode takes no exact count.
        error: why it cannot be described, or `None`.
    """

    name: str
    points: int | None
    model: str | None
    aliases: tuple[str, ...]
    index_put_off: bool
    points_approximate: bool = False
    error: str | None = None


def describe_collection(connection: CollectionConnection) -> CollectionDescription:
    """Describe a collection; a sample of its vectors is read.

    Raises:
        CollectionError: it does not exist or holds no vectors of our kind.
        StoreError: Qdrant does not answer or refuses.
    """
    info = connection.info()
    name, vector_name = connection.name, connection.vector_name
    dimension, distance = check_vectors(name, info.config.params.vectors, vector_name=vector_name)
    quantization = info.config.quantization_config
    with translate_client_errors(connection.client):
        size = disk_bytes(connection.client, name)
    return CollectionDescription(
        name=name,
        points=connection.count(),
        dimension=dimension,
        distance=distance,
        norms=_sample_norms(connection),
        status=str(info.status.value),
        indexed_vectors=max(
            0, (info.indexed_vectors_count or 0) - connection.count_sparse_vectors(info)
        ),
        quantization=quantization.model_dump(mode="json", exclude_none=True)
        if quantization
        else None,
        disk_bytes=size,
        identity=identity_of(info),
        alias_of=_alias_target(connection),
        settings=read_settings(info, vector_name).explicitly_set(),
        index_put_off=indexing_deferred(info),
        split=metadata_of(info).get(SPLIT_KEY),
        points_approximate=not connection.limits.allows_exact,
        bm25=_describe_bm25(connection),
    )


def list_collections(client: QdrantClient) -> list[ListedCollection]:
    """List all collections by name, whoever created them.

    One that a lost node of a cluster keeps from being read is listed with the error.

    Raises:
        StoreError: Qdrant does not answer or refuses.
    """
    aliases = Aliases(client)
    alias_targets = aliases.all()
    listed = []
    for name in aliases.collection_names():
        own_aliases = tuple(sorted(a for a, target in alias_targets.items() if target == name))
        try:
            listed.append(_listed(CollectionConnection(client, name), own_aliases))
        except PartlyDownError as error:
            listed.append(
                ListedCollection(
                    name, None, None, own_aliases, index_put_off=False, error=str(error)
                )
            )
    return listed


def _listed(connection: CollectionConnection, aliases: tuple[str, ...]) -> ListedCollection:
    info = connection.info()
    return ListedCollection(
        name=connection.name,
        points=connection.count(),
        model=model_name(info),
        aliases=aliases,
        index_put_off=indexing_deferred(info),
        points_approximate=not connection.limits.allows_exact,
    )


def identity_of(info: models.CollectionInfo) -> Mapping[str, Any] | None:
    """Return the identity of the encoders from a collection's metadata, where it is there."""
    found = metadata_of(info).get(IDENTITY_KEY)
    return found if isinstance(found, Mapping) else None


def model_name(info: models.CollectionInfo) -> str | None:
    """Return the name of the pair that made a collection, where it says so."""
    identity = identity_of(info)
    return str(identity["model"]) if identity and "model" in identity else None


def _describe_bm25(connection: CollectionConnection) -> Mapping[str, Any] | None:
    record = connection.reader.state.bm25_record()
    if record is None:
        return None
    return {**record.to_json(), "points": connection.count(has_vector(BM25_VECTOR))}


def _alias_target(connection: CollectionConnection) -> str | None:
    aliases = Aliases(connection.client, connection.retry)
    if connection.name in aliases.collection_names():
        return None
    return aliases.all().get(connection.name)


def _sample_norms(connection: CollectionConnection) -> dict[str, float] | None:
    import numpy as np
    from qdrant_client import models

    vector_name = connection.vector_name
    found = connection.call(
        lambda: connection.client.query_points(
            connection.name,
            query=models.SampleQuery(sample=models.Sample.RANDOM),
            limit=min(NORM_SAMPLE, connection.limits.results or NORM_SAMPLE),
            with_payload=False,
            with_vectors=[vector_name] if vector_name else True,
        )
    ).points
    vectors = [own_vector(point.vector, vector_name) for point in found]
    if not vectors:
        return None
    norms = np.linalg.norm(np.array(vectors, dtype=np.float64), axis=1)
    return {
        "min": round(float(norms.min()), 4),
        "median": round(float(np.median(norms)), 4),
        "max": round(float(norms.max()), 4),
    }
