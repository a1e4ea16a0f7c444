"""Aliases: other names of collections, which can be moved to another collection in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rdr_qdrant.client import RetryPolicy, look_until_seen

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

REINDEX_KEY = "rdr_qdrant_reindex"
"""Key of a collection's metadata that says that an alias is to be moved to it."""


class Aliases:
    """The aliases of one Qdrant.

    Args:
        client: of a server or embedded.
        retry: makes the calls; by default each is made once.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def __init__(self, client: QdrantClient, retry: RetryPolicy | None = None) -> None:
        self._client = client
        self._retry = retry or RetryPolicy()

    def all(self) -> dict[str, str]:
        """Return every alias and the collection that it refers to."""
        answer = self._retry(self._client, self._client.get_aliases)
        return {one.alias_name: one.collection_name for one in answer.aliases}

    def collection_names(self) -> list[str]:
        """Return the names of the collections themselves, sorted."""
        answer = self._retry(self._client, self._client.get_collections)
        return sorted(one.name for one in answer.collections)

    def assign(self, alias: str, collection: str) -> None:
        """Make the alias refer to this collection, in one atomic step; returns when it is seen."""
        from qdrant_client import models

        operations: list[models.AliasOperations] = [
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)),
            models.CreateAliasOperation(
                create_alias=models.CreateAlias(collection_name=collection, alias_name=alias)
            ),
        ]
        self._retry(
            self._client,
            lambda: self._client.update_collection_aliases(change_aliases_operations=operations),
        )
        look_until_seen(
            self._client, self._retry, self.all, lambda found: found.get(alias) == collection
        )
