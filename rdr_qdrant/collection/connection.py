"""A connection to one collection, shared by the parts of `Collection`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from rdr_qdrant.client import RetryPolicy, location_of, look_until_seen
from rdr_qdrant.collection.bm25 import Bm25Encoder
from rdr_qdrant.collection.client_calls import SyncCalls, run_now
from rdr_qdrant.collection.collection_reader import CollectionReader
from rdr_qdrant.collection.filters import has_vector
from rdr_qdrant.collection.limits import StrictLimits
from rdr_qdrant.errors import CollectionError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient, models

T = TypeVar("T")

CREATION_KEY = "rdr_qdrant_creation"
"""Key of a collection's metadata under which a random id of its creation lies: a collection that is
deleted and created again has another one."""

PATIENCE_WITH_MISSING_SECONDS = 1.0
"""A cluster that has no such collection is asked again for so long: a load may just create it."""


class CollectionConnection:
    """One collection of one Qdrant, and how calls to it are made.

    Attributes:
        client: a `QdrantClient`, of a server or embedded.
        name: the name of the collection or of an alias.
        vector_name: the named vector to use; `""` is the unnamed one.
        retry: makes the calls; by default each is made once.
        reader: reads and searches it.

    Every method raises `StoreError` where Qdrant does not answer or refuses.

    Raises:
        UsageError: the name is empty.
    """

    def __init__(
        self,
        client: QdrantClient,
        name: str,
        vector_name: str = "",
        retry: RetryPolicy | None = None,
    ) -> None:
        self.client = client
        self.name = name
        self.vector_name = vector_name
        self.retry = retry or RetryPolicy()
        self.reader = CollectionReader(name, vector_name, SyncCalls(client, self.retry, name))

    def call(self, request: Callable[[], T]) -> T:
        """Make a call to the client, retried by the policy."""
        return self.retry(self.client, request, self.name)

    def send_json(self, method: str, path: str, body: bytes, **parameters: str) -> dict[str, Any]:
        """Send a ready body to a server over REST, once; return the answer as it comes.

        Args:
            method: of HTTP.
            path: below the collection's own, from its slash on.
            body: JSON.
            parameters: of the query string.
        """
        answer: dict[str, Any] = self.client.http.client.request(
            type_=dict[str, Any],
            method=method,
            url="/collections/{collection_name}" + path,
            path_params={"collection_name": self.name},
            params=parameters,
            headers={"Content-Type": "application/json"},
            content=body,
        )
        return answer

    def exists(self) -> bool:
        """Return whether there is a collection or an alias of this name."""
        return self.call(lambda: self.client.collection_exists(self.name))

    def info(self) -> models.CollectionInfo:
        """Return Qdrant's own description of the collection.

        Raises:
            CollectionError: it does not exist.
        """
        info = self.find_info() or self.until_seen(
            self.find_info, lambda info: info is not None, PATIENCE_WITH_MISSING_SECONDS
        )
        if info is None:
            found = self.call(self.client.get_collections).collections
            raise missing_collection_error(self.client, self.name, found)
        return info

    def find_info(self) -> models.CollectionInfo | None:
        """Return Qdrant's own description of the collection; `None` if it does not exist."""
        return run_now(self.reader.find_info())

    def count(self, matching: models.Filter | None = None) -> int:
        """Count the points that match: exactly, unless strict mode takes no exact counts."""
        exact = self.limits.allows_exact
        return self.call(
            lambda: self.client.count(self.name, count_filter=matching, exact=exact)
        ).count

    def count_sparse_vectors(self, info: models.CollectionInfo) -> int:
        """Return the number of sparse vectors, which a Qdrant counts among the indexed ones."""
        return sum(map(self.count, map(has_vector, info.config.params.sparse_vectors or {})))

    @property
    def limits(self) -> StrictLimits:
        """The limits of strict mode; read once, then whenever the collection is described."""
        return run_now(self.reader.limits())

    def bm25_encoder(self) -> Bm25Encoder | None:
        """An encoder for the words of its passages, if it has BM25 by what was last read.

        Raises:
            CollectionError: another version of rdr-qdrant made its vectors otherwise.
        """
        if not self.reader.state.was_read:
            self.find_info()
        return self.reader.state.bm25_encoder()

    def update(
        self, is_seen: Callable[[models.CollectionInfo], bool], **parameters: Any
    ) -> models.CollectionInfo:
        """Change parameters of the collection, and wait until the change is seen.

        Args:
            is_seen: tells whether a description has the change.
            parameters: as `QdrantClient.update_collection` takes them.

        Returns:
            Qdrant's description afterwards, which may lack the change.
        """
        self.call(lambda: self.client.update_collection(self.name, **parameters))
        return self.until_seen(self.info, is_seen)

    def until_seen(
        self,
        look: Callable[[], T],
        is_seen: Callable[[T], bool],
        patience: float | None = None,
    ) -> T:
        """Look until a change shows; see `look_until_seen`."""
        return look_until_seen(self.client, self.retry, look, is_seen, patience)

    def record(self, key: str, value: Any) -> None:
        """Put a value into the collection's own metadata; the others stay."""
        self.update(lambda info: metadata_of(info).get(key) == value, metadata={key: value})

    def remove_metadata_key(self, key: str) -> None:
        """Remove one key from the collection's own metadata."""
        self.update(lambda info: key not in metadata_of(info), metadata={key: None})


def metadata_of(info: models.CollectionInfo) -> Mapping[str, Any]:
    """Return the collection's own metadata; empty where it has none."""
    return info.config.metadata or {}


def missing_collection_error(
    client: QdrantClient | AsyncQdrantClient,
    name: str,
    found: Sequence[models.CollectionDescription],
) -> CollectionError:
    """The error for a collection that does not exist; it lists those that do."""
    names = sorted(one.name for one in found)
    others = f"There are: {', '.join(names)}." if names else "There is none yet."
    return CollectionError(
        f"No collection {name!r} in {location_of(client)}. {others} "
        f"Create one with: rdr-qdrant ingest FILE -c {name}"
    )
