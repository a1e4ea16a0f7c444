"""The collection that a load goes to: made ready before the first row, finished after the last."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from rdr_qdrant.client import RetryPolicy
from rdr_qdrant.collection import Collection, CollectionSettings
from rdr_qdrant.encoding import Side
from rdr_qdrant.ingest.alias_swap import Reindexing
from rdr_qdrant.ingest.options import LoadSettings
from rdr_qdrant.registry import PairIdentity

logger = logging.getLogger(__name__)


class Target:
    """Creates, recreates or checks the collection; afterwards sees to its index and its alias.

    Args:
        settings: of the load.
        origin: what tells the load from another, see `Reindexing`.
        retrying: makes the calls.
    """

    def __init__(
        self, settings: LoadSettings, origin: Mapping[str, Any], retrying: RetryPolicy
    ) -> None:
        self._settings = settings
        self._origin = origin
        self._retrying = retrying
        self._put_off = False
        self._writes = False
        self._reindexing: Reindexing | None = None
        self.collection = self._named(settings.collection_name)

    def is_unseen(self) -> bool:
        """Whether it waits for its alias: until that is on it, nothing but this load fills it."""
        return self._reindexing is not None and not self._reindexing.is_switched(
            self.collection.name
        )

    def find(self) -> Collection:
        """The collection, which behind an alias is one with a name of its own.

        Raises:
            CollectionError: see `Reindexing.begin`.
        """
        settings = self._settings
        if settings.swap_alias:
            pair = settings.embeddings.identity(Side.CONTEXT)
            made = {
                "model": pair.label,
                "max_length": pair.max_length,
                "vector_name": settings.vector_name,
                "settings": _as_json(settings.collection_settings),
            }
            self._reindexing = Reindexing(
                settings.client,
                settings.collection_name,
                {**self._origin, **made},
                drop_old=settings.drop_old,
                retrying=self._retrying,
            )
            self.collection = self._named(self._reindexing.begin())
        return self.collection

    def make_ready(self, *, to_be_pruned: bool) -> tuple[bool, str]:
        """Create, recreate or check it; whether it is there, and the encoders' fingerprint."""
        settings, collection = self._settings, self.collection
        exists = self._is_there()
        if settings.recreate or not exists:
            collection.check_supported(settings.collection_settings)
        if exists and settings.recreate:
            collection.check_ours("deleted")
            if settings.dry_run:
                return False, ""
            identity = settings.embeddings.identity()
            collection.delete()
            self._create(identity)
        elif exists:
            ours = settings.embeddings.identity(Side.CONTEXT)
            collection.check(ours, allow_unverified=settings.allow_unverified)
            if to_be_pruned:
                collection.check_ours("pruned")
            if not settings.dry_run:
                collection.payload_indexes.add_missing(settings.collection_settings)
            collection.warn_about_differences(settings.collection_settings)
        elif settings.dry_run:
            return False, ""
        else:
            self._create(settings.embeddings.identity())
        if to_be_pruned:
            collection.payload_indexes.check_filterable("source")
        fingerprint = settings.embeddings.fingerprint()
        if settings.bulk and not settings.dry_run:
            collection.check_ours("changed by --bulk (bulk=True)")
        return True, fingerprint

    def before_writing(self) -> None:
        """Put the index off where that is asked for: to be called before points are written.

        Only then, for each change of that setting makes a server begin its index building anew.

        Raises:
            CollectionError: see `BulkIndexing.defer_indexing`.
        """
        if self._settings.bulk and not self._writes:
            self._put_off = self.collection.bulk_indexing.defer_indexing()
        self._writes = True

    def finish(self) -> dict[str, Any]:
        """See to the index and put the alias on it; what the report says of that."""
        settings, collection = self._settings, self.collection
        index = {"index_seconds": self._finish_index()}
        if self._reindexing is None:
            return index
        settings.stopping.check()
        old = self._reindexing.finish(collection.name)
        dropped = settings.drop_old and old is not None
        return {"alias": settings.collection_name, "replaced": old, "dropped": dropped, **index}

    def _finish_index(self) -> float | None:
        """The seconds that the index was built or waited for, or `None` where it was not."""
        settings, collection = self._settings, self.collection
        restored = collection.bulk_indexing.resume_indexing()
        self._put_off = False
        started = time.monotonic()
        waited = settings.index and collection.build_index(self._tell_indexing)
        if restored or settings.bulk or self._reindexing:
            waited = collection.bulk_indexing.wait_for_index(self._tell_server_indexing) or waited
        return time.monotonic() - started if waited else None

    def warn_if_deferred(self) -> None:
        """Where the load ended before its end, say that index building is still put off."""
        if self._put_off:
            logger.warning(
                "Index building of collection %r stays put off, since the load did not end; "
                "the same command goes on and switches it on at its end",
                self.collection.name,
            )

    def _is_there(self) -> bool:
        """Whether it is there to be loaded into; a new one of a re-index has to be made by it."""
        if self._reindexing and not self._reindexing.goes_on:
            return False
        return self.collection.exists()

    def _create(self, identity: PairIdentity) -> None:
        notes = self._reindexing.notes() if self._reindexing else None
        self.collection.create(identity, self._settings.collection_settings, notes)
        if self._reindexing:
            self._reindexing.check_noted(self.collection.name)

    def _named(self, name: str) -> Collection:
        settings = self._settings
        return Collection(settings.client, name, settings.vector_name, self._retrying)

    def _tell_indexing(self, seconds: float) -> None:
        self._settings.stopping.check()
        if self._settings.on_indexing:
            self._settings.on_indexing(seconds)

    def _tell_server_indexing(self, indexed: int, total: int) -> None:
        self._settings.stopping.check()
        if self._settings.on_server_indexing:
            self._settings.on_server_indexing(indexed, total)


def _as_json(settings: CollectionSettings | None) -> dict[str, Any]:
    """Those that say something, as they come back from a collection's metadata."""
    return settings.model_dump(mode="json", exclude_defaults=True) if settings else {}
