"""A connection to one collection, shared by the parts of `Collection`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from rdr_qdrant.client import RetryPolicy, location_of
from rdr_qdrant.errors import CollectionError, UsageError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient, models

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CollectionConnection:
    """One collection of one Qdrant, and how calls to it are made.

    Attributes:
        client: a `QdrantClient`, of a server or embedded.
        name: the name of the collection or of an alias.
        vector_name: the named vector to use; `""` is the unnamed one.
        retry: makes the calls; by default each is made once.

    Every method raises `StoreError` where Qdrant does not answer or refuses.

    Raises:
        UsageError: the name is empty.
    """

    client: QdrantClient
    name: str
    vector_name: str = ""
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def __post_init__(self) -> None:
        if not self.name:
            raise UsageError("The name of the collection is empty: give one with -c NAME.")

    def call(self, request: Callable[[], T]) -> T:
        """Make a call to the client, retried by the policy."""
        return self.retry(self.client, request, self.name)

    def exists(self) -> bool:
        """Return whether there is a collection or an alias of this name."""
        return self.call(lambda: self.client.collection_exists(self.name))

    def info(self) -> models.CollectionInfo:
        """Return Qdrant's own description of the collection.

        Raises:
            CollectionError: it does not exist.
        """
        if not self.exists():
            found = self.call(self.client.get_collections).collections
            raise missing_collection_error(self.client, self.name, found)
        return self.call(lambda: self.client.get_collection(self.name))

    def update(self, **parameters: Any) -> None:
        """Change parameters of the collection, as `QdrantClient.update_collection` takes them."""
        self.call(lambda: self.client.update_collection(self.name, **parameters))

    def remove_metadata_key(self, key: str) -> None:
        """Remove one key from the collection's own metadata."""
        self.update(metadata={key: None})


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
