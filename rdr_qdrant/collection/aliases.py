"""Aliases: other names of collections, which can be put on another collection in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rdr_qdrant.client import RetryPolicy

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

REINDEX_KEY = "rdr_qdrant_reindex"
"""Where in a collection's metadata it says that an alias is to be put on it."""


class Aliases:
    """The aliases of one Qdrant.

    Args:
        client: of a server or embedded.
        retrying: makes the calls; by default each is made once.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def __init__(self, client: QdrantClient, retrying: RetryPolicy | None = None) -> None:
        self._client = client
        self._retrying = retrying or RetryPolicy()

    def all(self) -> dict[str, str]:
        """Every alias and the collection that it stands for."""
        answer = self._retrying(self._client, lambda: self._client.get_aliases())
        return {one.alias_name: one.collection_name for one in answer.aliases}

    def collections(self) -> list[str]:
        """The names of the collections themselves."""
        answer = self._retrying(self._client, lambda: self._client.get_collections())
        return sorted(one.name for one in answer.collections)

    def point(self, alias: str, collection: str) -> None:
        """Let the alias stand for this collection from now on, in one atomic step."""
        from qdrant_client import models

        operations: list[models.AliasOperations] = [
            models.CreateAliasOperation(
                create_alias=models.CreateAlias(collection_name=collection, alias_name=alias)
            )
        ]
        if alias in self.all():
            gone = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
            operations.insert(0, gone)
        self._retrying(
            self._client,
            lambda: self._client.update_collection_aliases(change_aliases_operations=operations),
        )
