"""Payload indexes of a collection, which make filters by metadata quick.

A server in strict mode (Qdrant Cloud's default) takes no filter by a field without an index.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import server_version
from rdr_qdrant.collection.connection import CollectionConnection
from rdr_qdrant.collection.info import identity_of
from rdr_qdrant.collection.payload import METADATA_KEY
from rdr_qdrant.collection.qdrant_params import Version, payload_index_params, read_settings
from rdr_qdrant.collection.settings import CollectionSettings, missing_payload_indexes
from rdr_qdrant.errors import CollectionError

if TYPE_CHECKING:
    from qdrant_client import models

logger = logging.getLogger(__name__)

TEXT_INDEXES = ("keyword", "uuid")
"""Index types that serve a filter by text."""


class PayloadIndexes:
    """The payload indexes of a collection.

    Args:
        connection: the collection.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def __init__(self, connection: CollectionConnection) -> None:
        self._connection = connection

    def add_missing(self, settings: CollectionSettings | None) -> None:
        """Create the payload indexes that the settings name, and log those that are new.

        An existing index stays as it is, whatever its type. A collection that other software
        created gets none.
        """
        if settings is None or not (settings.payload_indexes or settings.tenant):
            return
        if identity_of(self._connection.info()) is None:
            return
        version = None
        if settings.payload_index_memory is not None:
            client = self._connection.client
            version = self._connection.call(lambda: server_version(client))
        created = self.create_missing(settings, version)
        if created:
            logger.warning(
                "Collection %r has the payload indexes %s now",
                self._connection.name,
                as_options(created),
            )

    def create_missing(
        self, settings: CollectionSettings, version: Version | None
    ) -> dict[str, str]:
        """Create the payload indexes that the settings name; returns the new ones and their types.

        Args:
            settings: of the collection.
            version: of the server, where it matters and is known.
        """
        if not (settings.payload_indexes or settings.tenant):
            return {}
        missing = self._missing(settings)
        for key in missing:
            self._create(f"{METADATA_KEY}.{key}", payload_index_params(settings, key, version))
        if not missing:
            return {}
        still_missing = self._missing(settings)
        return {key: kind for key, kind in missing.items() if key not in still_missing}

    def copy_missing(self, info: models.CollectionInfo) -> None:
        """Create the payload indexes of another collection that this one does not have.

        Args:
            info: Qdrant's description of the other one.
        """
        existing = self._connection.info().payload_schema or {}
        for field, schema in (info.payload_schema or {}).items():
            if field not in existing:
                self._create(field, schema.params or schema.data_type)

    def find_empty(self, settings: CollectionSettings) -> dict[str, str]:
        """Return those that the settings name and that index no value of any point, with types."""
        schema = self._connection.info().payload_schema or {}
        wanted = {*settings.payload_indexes, *([settings.tenant] if settings.tenant else [])}
        found = {key: schema.get(f"{METADATA_KEY}.{key}") for key in sorted(wanted)}
        return {
            key: str(index.data_type.value)
            for key, index in found.items()
            if index is not None and not index.points
        }

    def check_filterable(self, key: str) -> None:
        """Refuse where strict mode would refuse a filter by text in this metadata key.

        Raises:
            CollectionError: strict mode is on and the key has no index; says how to create one.
        """
        info = self._connection.info()
        strict = info.config.strict_mode_config
        index = (info.payload_schema or {}).get(f"{METADATA_KEY}.{key}")
        if not (strict and strict.enabled) or (index and index.data_type.value in TEXT_INDEXES):
            return
        if False in (strict.unindexed_filtering_retrieve, strict.unindexed_filtering_update):
            raise CollectionError(
                f"Collection {self._connection.name!r} is in strict mode, which takes no filter by "
                f"a field without an index, and the metadata key {key!r} has none. Add it with "
                f"--payload-index {key} (payload_indexes of collection_settings)."
            )

    def _create(self, field: str, schema: Any) -> None:
        client, name = self._connection.client, self._connection.name
        self._connection.call(lambda: client.create_payload_index(name, field, schema, wait=True))

    def _missing(self, settings: CollectionSettings) -> dict[str, str]:
        found = read_settings(self._connection.info(), self._connection.vector_name)
        return missing_payload_indexes(settings, found)


def as_options(indexes: Mapping[str, str]) -> str:
    """Format payload indexes as values of `--payload-index`."""
    return ", ".join(f"{key}:{kind}" for key, kind in indexes.items())
