"""Points by conditions on their payload, and the payload indexes that make such conditions quick.

A server in strict mode (Qdrant Cloud's default) takes no filter by a field without an index.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import UnindexedFilterError, server_version
from rdr_qdrant.collection.bulk_indexing import IndexedPoints
from rdr_qdrant.collection.info import identity_of
from rdr_qdrant.collection.payload import HASH_KEY, METADATA_KEY
from rdr_qdrant.collection.points import PointId, in_halves, plain
from rdr_qdrant.collection.qdrant_params import Version, payload_index, settings_of
from rdr_qdrant.collection.settings import CollectionSettings, missing_payload_indexes
from rdr_qdrant.errors import CollectionError

if TYPE_CHECKING:
    from qdrant_client import models

logger = logging.getLogger(__name__)

MetadataChange = tuple[PointId, str, Mapping[str, Any]]
"""A point, its content hash, and what its metadata shall be."""

TEXT_INDEXES = ("keyword", "uuid")
"""The types of index that serve a filter by text."""


class FilteredPoints(IndexedPoints):
    """The points of a collection, and its payload indexes."""

    _takes_any_filter = True

    def add_payload_indexes(self, asked: CollectionSettings | None) -> None:
        """Make the payload indexes asked for that it lacks, where we made the collection; say so.

        One that is there stays as it is, whatever its type.
        """
        if asked is None or not (asked.payload_indexes or asked.tenant):
            return
        if identity_of(self.info()) is None:
            return
        placed = asked.payload_index_memory is not None
        version = self._ask(lambda: server_version(self.client)) if placed else None
        made = self.make_payload_indexes(asked, version)
        if made:
            logger.warning("Collection %r has the payload indexes %s now", self.name, made)

    def make_payload_indexes(self, asked: CollectionSettings, version: Version | None) -> str:
        """Make those that it lacks; in words, those that it has since."""
        if not (asked.payload_indexes or asked.tenant):
            return ""
        missing = missing_payload_indexes(asked, settings_of(self.info(), self.vector_name))
        for key in missing:
            schema = payload_index(asked, key, version)
            self._ask(
                lambda field=f"{METADATA_KEY}.{key}", schema=schema: (  # type: ignore[misc]
                    self.client.create_payload_index(self.name, field, schema, wait=True)
                )
            )
        if not missing:
            return ""
        still = missing_payload_indexes(asked, settings_of(self.info(), self.vector_name))
        return in_words({key: kind for key, kind in missing.items() if key not in still})

    def idle_payload_indexes(self, asked: CollectionSettings) -> dict[str, str]:
        """Those asked for that hold no value of any point, and their types."""
        schema = self.info().payload_schema or {}
        wanted = {*asked.payload_indexes, *([asked.tenant] if asked.tenant else [])}
        found = {key: schema.get(f"{METADATA_KEY}.{key}") for key in sorted(wanted)}
        return {
            key: str(index.data_type.value)
            for key, index in found.items()
            if index is not None and not index.points
        }

    def check_filterable(self, key: str) -> None:
        """Refuse where the server would refuse to filter by this text in the metadata.

        Raises:
            CollectionError: strict mode is on and there is no index, and how to make one.
        """
        info = self.info()
        strict = info.config.strict_mode_config
        index = (info.payload_schema or {}).get(f"{METADATA_KEY}.{key}")
        if not (strict and strict.enabled) or (index and index.data_type.value in TEXT_INDEXES):
            return
        if False in (strict.unindexed_filtering_retrieve, strict.unindexed_filtering_update):
            raise CollectionError(
                f"Collection {self.name!r} is in strict mode, which takes no filter by a field "
                f"without an index, and {key!r} of the metadata has none. Add it with "
                f"--payload-index {key} (payload_indexes of collection_settings)."
            )

    def unknown_metadata(self, keys: Sequence[str]) -> list[str]:
        """Those of these keys that no point has in its metadata."""
        from qdrant_client import models

        def having(key: str) -> models.Filter:
            field = models.PayloadField(key=f"{METADATA_KEY}.{key}")
            return models.Filter(must_not=[models.IsEmptyCondition(is_empty=field)])

        return [
            key
            for key in keys
            if not self._ask(
                lambda key=key: self.client.scroll(  # type: ignore[misc]
                    self.name, scroll_filter=having(key), limit=1, with_payload=False
                )
            )[0]
        ]

    def replace_metadata(self, changes: Sequence[MetadataChange]) -> list[PointId]:
        """Write the metadata of points anew; their texts and vectors stay.

        Args:
            changes: id, content hash, metadata; where a point has another hash by now, because
                somebody else has just replaced it, its metadata stays as well. In strict mode it
                is looked up right before the write instead of by it: a replacement in between
                gets these metadata, until it is loaded again.

        Returns:
            The ids of points whose metadata the server does not take even alone.
        """
        if self._takes_any_filter:
            try:
                return [change[0] for change in in_halves(changes, self._replace_if_same)]
            except UnindexedFilterError:  # and an index of every hash would cost gigabytes of RAM
                self._takes_any_filter = False
        there = self.stored([one for one, _, _ in changes])
        same = [c for c in changes if c[0] in there and there[c[0]].content_hash == c[1]]
        return [change[0] for change in in_halves(same, self._replace)]

    def _replace_if_same(self, changes: Sequence[MetadataChange]) -> None:
        self._set_metadata(
            [
                (metadata, {"filter": _these([one], HASH_KEY, content_hash)})
                for one, content_hash, metadata in changes
            ]
        )

    def _replace(self, changes: Sequence[MetadataChange]) -> None:
        self._set_metadata([(metadata, {"points": [one]}) for one, _, metadata in changes])

    def _set_metadata(self, sets: Sequence[tuple[Mapping[str, Any], dict[str, Any]]]) -> None:
        from qdrant_client import models

        operations = [
            models.SetPayloadOperation(
                set_payload=models.SetPayload(payload={METADATA_KEY: dict(metadata)}, **chosen)
            )
            for metadata, chosen in sets
        ]
        self._ask(lambda: self.client.batch_update_points(self.name, operations, wait=True))

    def of_source(self, source: str, limit: int) -> Iterator[list[tuple[PointId, str]]]:
        """Point id and passage id of every point of ours with this source, some at a time."""
        from qdrant_client import models

        keys = [HASH_KEY, f"{METADATA_KEY}.id"]
        chosen = models.Filter(must=[_equals(f"{METADATA_KEY}.source", source)])
        offset: Any = None
        while True:
            records, offset = self._ask(
                lambda offset=offset: self.client.scroll(  # type: ignore[misc]
                    self.name,
                    scroll_filter=chosen,
                    limit=limit,
                    offset=offset,
                    with_payload=keys,
                )
            )
            payloads = ((plain(r.id), r.payload or {}) for r in records)
            yield [
                (one, str((payload.get(METADATA_KEY) or {}).get("id", "")))
                for one, payload in payloads
                if payload.get(HASH_KEY)
            ]
            if offset is None:
                return

    def remove(self, ids: Sequence[PointId], source: str) -> None:
        """Delete those of these points that still have this source."""
        from qdrant_client import models

        chosen = models.FilterSelector(filter=_these(ids, f"{METADATA_KEY}.source", source))
        self._ask(lambda: self.client.delete(self.name, chosen, wait=True))


def in_words(indexes: Mapping[str, str]) -> str:
    """Payload indexes as `--payload-index` names them."""
    return ", ".join(f"{key}:{kind}" for key, kind in indexes.items())


def _these(ids: Iterable[PointId], key: str, value: str) -> models.Filter:
    from qdrant_client import models

    return models.Filter(must=[models.HasIdCondition(has_id=list(ids)), _equals(key, value)])


def _equals(key: str, value: str) -> models.FieldCondition:
    from qdrant_client import models

    return models.FieldCondition(key=key, match=models.MatchValue(value=value))
