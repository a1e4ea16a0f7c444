"""What a collection says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import disk_bytes
from rdr_qdrant.collection.aliases import Aliases
from rdr_qdrant.collection.bulk_indexing import indexing_deferred
from rdr_qdrant.collection.compatibility import check_vectors
from rdr_qdrant.collection.qdrant_params import settings_of

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

IDENTITY_KEY = "rdr_qdrant"
"""Where in the collection's own metadata our part lies."""

NORM_SAMPLE = 256
"""Vectors whose lengths are looked at."""


@dataclass(frozen=True, slots=True)
class CollectionDescription:
    """A collection's contents and state.

    Attributes:
        name: its name.
        points: number of points, exact.
        dimension: numbers in a vector.
        distance: always `Dot`.
        norms: lengths of a random sample of vectors: `min`, `median`, `max`; `None` if empty.
        status: Qdrant's own: `green` when everything is indexed, `yellow` while it works.
        indexed_vectors: vectors that an index covers; the others are scanned.
        quantization: Qdrant's own settings, or `None`.
        disk_bytes: what it takes on disk, or `None` where a server does not tell.
        identity: the encoders that made it, or `None` where it does not say.
        alias_of: the collection that it is, where the name asked for is an alias.
        settings: how it is laid out, see `CollectionSettings`.
        index_put_off: whether a bulk load put index building off and has not ended.
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

    def to_json(self) -> dict[str, Any]:
        """The same as a dict, without the probe vectors, which mean nothing to a reader."""
        plain = asdict(self)
        if self.identity is not None:
            probes = ("probe", "question_probe")
            plain["identity"] = {k: v for k, v in self.identity.items() if k not in probes}
        return plain


def describe(
    client: QdrantClient,
    name: str,
    vector_name: str,
    info: models.CollectionInfo,
    identity: Mapping[str, Any] | None,
) -> CollectionDescription:
    """Put together what is asked of Qdrant in several calls."""
    dimension, distance = check_vectors(name, info.config.params.vectors, vector_name=vector_name)
    quantization = info.config.quantization_config
    return CollectionDescription(
        name=name,
        points=client.count(name, exact=True).count,
        dimension=dimension,
        distance=distance,
        norms=_norms(client, name, vector_name),
        status=str(info.status.value),
        indexed_vectors=info.indexed_vectors_count or 0,
        quantization=quantization.model_dump(mode="json", exclude_none=True)
        if quantization
        else None,
        disk_bytes=disk_bytes(client, name),
        identity=identity,
        alias_of=_alias_of(client, name),
        settings=settings_of(info, vector_name).given(),
        index_put_off=indexing_deferred(info),
    )


def identity_of(info: models.CollectionInfo) -> Mapping[str, Any] | None:
    """Our part of a collection's metadata, where it has one."""
    found = (info.config.metadata or {}).get(IDENTITY_KEY)
    return found if isinstance(found, Mapping) else None


def _alias_of(client: QdrantClient, name: str) -> str | None:
    if name in {found.name for found in client.get_collections().collections}:
        return None
    return Aliases(client).all().get(name)


def _norms(client: QdrantClient, name: str, vector_name: str) -> dict[str, float] | None:
    import numpy as np
    from qdrant_client import models

    found = client.query_points(
        name,
        query=models.SampleQuery(sample=models.Sample.RANDOM),
        limit=NORM_SAMPLE,
        with_payload=False,
        with_vectors=[vector_name] if vector_name else True,
    ).points
    vectors = [p.vector[vector_name] if isinstance(p.vector, dict) else p.vector for p in found]
    if not vectors:
        return None
    norms = np.linalg.norm(np.array(vectors, dtype=np.float64), axis=1)
    return {
        "min": round(float(norms.min()), 4),
        "median": round(float(np.median(norms)), 4),
        "max": round(float(norms.max()), 4),
    }
