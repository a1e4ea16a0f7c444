"""One collection, by Qdrant's own calls; nothing outside this room asks Qdrant about points."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rdr_qdrant.collection.description import IDENTITY_KEY, CollectionDescription, describe
from rdr_qdrant.collection.fit import check_identity, check_vectors
from rdr_qdrant.collection.indexing import IndexedPoints, say_if_put_off
from rdr_qdrant.collection.layout import (
    Version,
    check_possible,
    collection_settings,
    payload_indexes,
    settings_of,
    vector_settings,
)
from rdr_qdrant.collection.payload import Hit, from_payload
from rdr_qdrant.collection.points import plain
from rdr_qdrant.collection.sizing import CollectionSettings, differences
from rdr_qdrant.errors import CollectionError, StoreError
from rdr_qdrant.models import PairIdentity
from rdr_qdrant.store import build_index, builds_index_itself, reaching, server_version

if TYPE_CHECKING:
    from qdrant_client import models

logger = logging.getLogger(__name__)


class Collection(IndexedPoints):
    """A dot-product collection of passages.

    Args:
        client: a `QdrantClient`, of a server or embedded.
        name: the collection's name.
        vector_name: the named vector to use; `""` is the unnamed one.
        retrying: makes the calls; by default each is made once.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def create(
        self,
        identity: PairIdentity,
        settings: CollectionSettings | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """Make it: dot product, the pair's dimension, and what made it in its metadata.

        Where it is there by now, because another load or a call whose answer was lost made it, it
        is checked instead.

        Args:
            identity: the pair.
            settings: how it is laid out; payload indexes are made before any point is there.
            notes: further metadata.

        Raises:
            CollectionError: this Qdrant does not have one of the settings.
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
            self.check(identity)
        for field, schema in payload_indexes(settings).items():
            self._ask(
                lambda field=field, schema=schema: self.client.create_payload_index(  # type: ignore[misc]
                    self.name, field, schema, wait=True
                )
            )
        different = self._differences(settings)
        if different:
            logger.warning(
                "This Qdrant did not keep all settings of the new collection %r: %s",
                self.name,
                different,
            )

    def check_possible(self, settings: CollectionSettings | None) -> Version | None:
        """Refuse settings that this Qdrant does not have; its version, where that matters.

        Raises:
            CollectionError: naming the first such setting, and what to do.
        """
        if settings is None or not settings.given():
            return None
        version = self._ask(lambda: server_version(self.client))
        check_possible(settings, version, embedded=not builds_index_itself(self.client))
        return version

    def say_differences(self, asked: CollectionSettings | None) -> None:
        """Warn, in one line, of settings asked for that the collection does not have."""
        different = self._differences(asked)
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
        return "; ".join(differences(asked, settings_of(self.info(), self.vector_name)))

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
        if _identity(self.info()) is None:
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
        say_if_put_off(self.name, info)
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
        info = self.info()
        with reaching(self.client):
            return describe(self.client, self.name, self.vector_name, info, _identity(info))

    def recorded_model(self) -> str | None:
        """The name of the pair that made it, where it is there and says so."""
        identity = _identity(self.info()) if self.exists() else None
        return str(identity["model"]) if identity and "model" in identity else None

    def query(
        self,
        vectors: Any,
        *,
        k: int,
        filter: models.Filter | None = None,
        score_threshold: float | None = None,
        exact: bool = False,
        search_params: models.SearchParams | None = None,
    ) -> list[list[Hit]]:
        """For each question vector the `k` passages with the highest inner product, best first.

        Args:
            vectors: float32 [n, dim].
            k: most passages for each.
            filter: only points that fulfil it.
            score_threshold: only points with at least this raw inner product.
            exact: compare with every point instead of going through the index.
            search_params: Qdrant's own. Where they do not say otherwise, hits of a quantized
                collection are scored again by the original vectors: by itself Qdrant does so with
                few kinds of quantization, and all other scores are approximate.
        """
        from qdrant_client import models

        params = _rescoring(search_params or models.SearchParams())
        if exact:
            params = params.model_copy(update={"exact": True})
        requests = [
            models.QueryRequest(
                query=vector.tolist(),
                using=self.vector_name or None,
                limit=k,
                filter=filter,
                score_threshold=score_threshold,
                params=params,
                with_payload=True,
            )
            for vector in vectors
        ]
        responses = self._ask(lambda: self.client.query_batch_points(self.name, requests=requests))
        return [
            [Hit(p.score, from_payload(plain(p.id), p.payload)) for p in response.points]
            for response in responses
        ]

    def build_index(self, progress: Callable[[float], None] | None = None) -> bool:
        """Build the index where it pays and is not the server's own task; whether it was built.

        Args:
            progress: called a few times a second with the seconds since the start.
        """
        with reaching(self.client):
            return build_index(self.client, self.name, progress)


def _identity(info: models.CollectionInfo) -> Mapping[str, Any] | None:
    found = (info.config.metadata or {}).get(IDENTITY_KEY)
    return found if isinstance(found, Mapping) else None


def _rescoring(params: models.SearchParams) -> models.SearchParams:
    from qdrant_client import models

    quantization = params.quantization or models.QuantizationSearchParams()
    if quantization.rescore is not None or quantization.ignore:
        return params
    quantization = quantization.model_copy(update={"rescore": True})
    return params.model_copy(update={"quantization": quantization})
