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
from rdr_qdrant.collection.json_path import metadata_paths
from rdr_qdrant.collection.limits import StrictLimits
from rdr_qdrant.collection.qdrant_params import Version, payload_index_params
from rdr_qdrant.collection.settings import CollectionSettings
from rdr_qdrant.errors import CollectionError

if TYPE_CHECKING:
    from qdrant_client import models

logger = logging.getLogger(__name__)

CONDITIONS_OF_PRUNING = 2
"""Conditions of the filter that deletes points by their ids and their source."""

TEXT_INDEXES = ("keyword", "uuid")
"""Index types that serve a filter by text."""


class PayloadIndexes:
    """The payload indexes of a collection.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def __init__(self, connection: CollectionConnection) -> None:
        self._connection = connection

    def add_missing(self, settings: CollectionSettings | None) -> None:
        """Create the payload indexes that the settings name, and log those that are new.

        An existing index stays as it is, whatever its type. A collection that other software
        created gets none.
        """
        if settings is None or not settings.index_types():
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
        missing = self._missing(settings)
        for key, path in missing:
            self._create(path, payload_index_params(settings, key, version))
        still_missing = missing and self._connection.until_seen(
            lambda: self._missing(settings), lambda still: not still
        )
        types = settings.index_types()
        return {key: types[key] for key, path in missing if (key, path) not in still_missing}

    def copy_missing(self, info: models.CollectionInfo) -> None:
        """Create the payload indexes of another collection that this one does not have.

        Args:
            info: Qdrant's description of the other one.
        """
        existing = self._connection.info().payload_schema or {}
        wanted = info.payload_schema or {}
        for field, schema in wanted.items():
            if field not in existing:
                self._create(field, schema.params or schema.data_type)
        if wanted.keys() - existing.keys():
            self._connection.until_seen(
                self._connection.info,
                lambda found: wanted.keys() <= (found.payload_schema or {}).keys(),
            )

    def find_empty(self, settings: CollectionSettings) -> dict[str, str]:
        """Return those that the settings name and that index no value of any point, with types."""
        schema = self._connection.info().payload_schema or {}
        empty = {}
        for key in sorted(settings.index_types()):
            indexes = [schema[path] for path in metadata_paths(key) if path in schema]
            if indexes and not any(index.points for index in indexes):
                empty[key] = str(indexes[0].data_type.value)
        return empty

    def takes_filter(self, key: str) -> bool:
        """Return whether a filter by text in a metadata key is taken, for all of strict mode."""
        info = self._connection.info()
        [path] = metadata_paths(key)
        index = (info.payload_schema or {}).get(path)
        has_index = index is not None and index.data_type.value in TEXT_INDEXES
        return has_index or not StrictLimits.of(info).filters_need_index

    def make_filterable(self, key: str, *, dry_run: bool = False) -> None:
        """Create the index without which strict mode takes no filter by text in a metadata key.

        Args:
            key: the metadata key.
            dry_run: create nothing.

        Raises:
            CollectionError: strict mode does not take a filter as pruning needs it; there is an
                index of another type; or there is none, and this is a dry
                run or a collection of other software. Says how to create one.
        """
        from qdrant_client import models

        info = self._connection.info()
        [path] = metadata_paths(key)
        index = (info.payload_schema or {}).get(path)
        limits = StrictLimits.of(info)
        if limits.conditions is not None and limits.conditions < CONDITIONS_OF_PRUNING:
            raise CollectionError(
                f"Collection {self._connection.name!r} is in strict mode and takes filters of at "
                f"most {limits.conditions} conditions (filter_max_conditions): pruning needs "
                f"{CONDITIONS_OF_PRUNING}. Leave --prune (prune=True) out, or have it raised."
            )
        if self.takes_filter(key):
            return
        name = self._connection.name
        if index or dry_run or identity_of(info) is None:
            found = f"one of type {index.data_type.value}" if index else "none"
            raise CollectionError(
                f"Collection {name!r} is in strict mode, which takes no filter by a field without "
                f"a fitting index, and the metadata key {key!r} has {found}. Add it with "
                f"--payload-index {key} (payload_indexes of collection_settings)."
            )
        self._create(path, models.PayloadSchemaType.KEYWORD)
        self._connection.until_seen(
            self._connection.info, lambda found: path in (found.payload_schema or {})
        )
        logger.warning(
            "Collection %r is in strict mode and has the payload index %s now, without which it "
            "could not be pruned",
            name,
            as_options({key: "keyword"}),
        )

    def _create(self, field: str, schema: Any) -> None:
        client, name = self._connection.client, self._connection.name
        self._connection.call(lambda: client.create_payload_index(name, field, schema, wait=True))

    def _missing(self, settings: CollectionSettings) -> list[tuple[str, str]]:
        """Return metadata key and path of each index that the settings name and nobody created."""
        keys = settings.index_types()
        schema = (self._connection.info().payload_schema or {}) if keys else {}
        return [(key, path) for key in keys for path in metadata_paths(key) if path not in schema]


def as_options(indexes: Mapping[str, str]) -> str:
    """Format payload indexes as values of `--payload-index`."""
    return ", ".join(f"{key}:{kind}" for key, kind in indexes.items())
