"""Index building on a server: put off during a bulk load, restored after it, waited for.

Qdrant's advice for a load that nobody searches meanwhile ("Bulk Uploading Data to Qdrant",
2026-07-14): `indexing_threshold` 0, and back to what it was afterwards. What it was stands in the
collection's own metadata from before it is switched off until it is on again, so that whatever
happens in between, the next load restores it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import capabilities, location_of
from rdr_qdrant.collection.points import Points
from rdr_qdrant.errors import CollectionError, StoreError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient, models

logger = logging.getLogger(__name__)

BULK_KEY = "rdr_qdrant_bulk"
"""Where in the collection's metadata the note lies."""

DEFAULT_INDEXING_THRESHOLD = 10_000
"""KB; Qdrant's own, for a server that does not name its own."""

SECONDS_BETWEEN_LOOKS = 0.5
QUIET_LOOKS = 2
"""How often in a row a server must say that it is done: its optimizers may be about to start."""

IndexProgress = Callable[[int, int], None]
"""Called with the vectors in the index and the points in all."""


class IndexedPoints(Points):
    """The points of a collection and the index over them."""

    def exists(self) -> bool:
        """Whether the collection, or an alias of that name, is there."""
        return self._ask(lambda: self.client.collection_exists(self.name))

    def info(self) -> models.CollectionInfo:
        """What Qdrant says of the collection.

        Raises:
            CollectionError: it is missing.
        """
        if not self.exists():
            there = self._ask(lambda: self.client.get_collections()).collections
            raise missing(self.client, self.name, there)
        return self._ask(lambda: self.client.get_collection(self.name))

    def defer_indexing(self) -> bool:
        """Let the server build no index until `resume_indexing`; whether it is off now.

        Nothing is done for an embedded collection, whose index is built after a load anyway, nor
        where the owner has switched it off.

        Raises:
            CollectionError: the server keeps no metadata: nothing could tell that it is off.
        """
        from qdrant_client import models

        if not capabilities(self.client).indexes_in_background:
            return False
        info = self.info()
        threshold = info.config.optimizer_config.indexing_threshold
        if indexing_deferred(info) and threshold == 0:
            return True  # the same again would have the server begin its work anew
        if not indexing_deferred(info):
            if threshold == 0:
                return False
            note = {BULK_KEY: {"indexing_threshold": threshold or DEFAULT_INDEXING_THRESHOLD}}
            self._ask(lambda: self.client.update_collection(self.name, metadata=note))
            if not indexing_deferred(self.info()):
                raise CollectionError(
                    f"{location_of(self.client)} keeps no metadata of collections (Qdrant does "
                    "since 1.16), so nothing could tell that index building is put off. Leave "
                    "--bulk (bulk=True) out."
                )
        off = models.OptimizersConfigDiff(indexing_threshold=0)
        self._ask(lambda: self.client.update_collection(self.name, optimizers_config=off))
        return True

    def resume_indexing(self) -> bool:
        """Let the server build the index again where a bulk load put it off; whether it was off.

        Raises:
            StoreError: the server does not take the setting; the note of it stays.
        """
        from qdrant_client import models

        info = self.info()
        if not indexing_deferred(info):
            return False
        before = effective_indexing_threshold(info)
        on = models.OptimizersConfigDiff(indexing_threshold=before)
        self._ask(lambda: self.client.update_collection(self.name, optimizers_config=on))
        if self.info().config.optimizer_config.indexing_threshold == 0:
            raise StoreError(
                f"{location_of(self.client)} does not switch index building of {self.name!r} on "
                f"again (indexing_threshold {before}). Any later ingest into it tries again."
            )
        self.take_out(BULK_KEY)
        return True

    def wait_for_index(self, progress: IndexProgress | None = None) -> bool:
        """Return when the server has nothing left to index; at once where it does not index.

        Where shards have replicas, the server asks one of each: others may still be building.

        Args:
            progress: called twice a second; may raise to give up waiting.

        Returns:
            Whether it is a server's, to be waited for.

        Raises:
            StoreError: the server's optimizers failed.
        """
        if not capabilities(self.client).indexes_in_background:
            return False
        quiet = 0
        while True:
            info = self.info()
            status, optimizers = info.status.value, info.optimizer_status
            if status == "red" or not isinstance(getattr(optimizers, "value", optimizers), str):
                raise StoreError(
                    f"{location_of(self.client)} failed to index {self.name!r} (status {status}, "
                    f"{optimizers}). The points are kept; its log tells more."
                )
            if status == "grey":
                self._nudge(info)
            quiet = quiet + 1 if status == "green" else 0
            if progress:
                progress(info.indexed_vectors_count or 0, info.points_count or 0)
            if quiet == QUIET_LOOKS:
                return True
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _nudge(self, info: models.CollectionInfo) -> None:
        """Optimizations wait for an update, after a restart of the server: send one."""
        from qdrant_client import models

        threshold = info.config.optimizer_config.indexing_threshold
        same = models.OptimizersConfigDiff(indexing_threshold=threshold)
        self._ask(lambda: self.client.update_collection(self.name, optimizers_config=same))

    def take_out(self, key: str) -> None:
        """Take one key out of the collection's metadata."""
        self._ask(lambda: self.client.update_collection(self.name, metadata={key: None}))


def effective_indexing_threshold(info: models.CollectionInfo) -> int | None:
    """Its `indexing_threshold`; while a bulk load puts indexing off, that of before and after."""
    note = _note(info)
    if note is None:
        return info.config.optimizer_config.indexing_threshold
    return int(note.get("indexing_threshold", DEFAULT_INDEXING_THRESHOLD))


def indexing_deferred(info: models.CollectionInfo) -> bool:
    """Whether a bulk load has put index building off and not restored it."""
    return _note(info) is not None


def warn_if_deferred(name: str, info: models.CollectionInfo) -> None:
    """Warn of it."""
    if indexing_deferred(info):
        logger.warning(
            "Index building of collection %r is put off by a bulk load that has not ended: until "
            "then a search compares every vector. Any ingest into it switches it on at its end",
            name,
        )


def _note(info: models.CollectionInfo) -> Mapping[str, Any] | None:
    found = (info.config.metadata or {}).get(BULK_KEY)
    return found if isinstance(found, Mapping) else None


def missing(
    client: QdrantClient | AsyncQdrantClient,
    name: str,
    there: Sequence[models.CollectionDescription],
) -> CollectionError:
    """The error that tells of a missing collection, and which there are."""
    names = sorted(found.name for found in there)
    others = f"There are: {', '.join(names)}." if names else "There is none yet."
    return CollectionError(
        f"No collection {name!r} in {location_of(client)}. {others} "
        f"Make one with: rdr-qdrant ingest FILE -c {name}"
    )
