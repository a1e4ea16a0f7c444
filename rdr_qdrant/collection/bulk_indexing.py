"""Index building on a server: deferred during a bulk load, resumed after it, waited for.

Qdrant's advice for a load that nobody searches meanwhile ("Bulk Uploading Data to Qdrant",
2026-07-14): set `indexing_threshold` to 0, and back afterwards. The previous value is kept in the
collection's own metadata from before indexing is disabled until it is enabled again, so that the
next load restores it whatever happens in between.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import AccessDeniedError, capabilities, location_of
from rdr_qdrant.collection.connection import CollectionConnection, metadata_of
from rdr_qdrant.errors import CollectionError, StoreError

if TYPE_CHECKING:
    from qdrant_client import models

logger = logging.getLogger(__name__)

BULK_KEY = "rdr_qdrant_bulk"
"""Key of the collection's metadata that holds the previous threshold."""

ACCESS_KEY = "rdr_qdrant_access"
"""Key of the metadata that is only ever removed, to see whether that is allowed."""

DEFAULT_INDEXING_THRESHOLD = 10_000
"""KB; Qdrant's default, for a server that does not report its own."""

POLL_SECONDS = 0.5
GREEN_POLLS = 2
"""Polls in a row that must find the server idle: its optimizers may be about to start."""

IndexProgress = Callable[[int, int], None]
"""Called with the dense vectors in the index and the number of points."""


class BulkIndexing:
    """Defers, resumes and waits for a server's index building.

    Every method raises `StoreError` where Qdrant does not answer or refuses.
    """

    def __init__(self, connection: CollectionConnection) -> None:
        self._connection = connection
        self._previous_threshold: int | None = None

    def defer_indexing(self) -> bool:
        """Disable index building until `resume_indexing`; returns whether it is deferred now.

        Nothing is done for an embedded collection, whose index is built after a load anyway, nor
        where the owner has disabled indexing.

        Raises:
            CollectionError: the server keeps no metadata, or does not show them in time, so that
                the previous value might be lost; the collection is as it was before.
        """

        client = self._connection.client
        if not capabilities(client).indexes_in_background:
            return False
        info = self._connection.info()
        threshold = _threshold(info)
        if indexing_deferred(info) and threshold == 0:
            return True  # each change of the setting makes the server start optimizing anew
        if not indexing_deferred(info):
            if threshold == 0:
                return False
            previous = {"indexing_threshold": threshold or DEFAULT_INDEXING_THRESHOLD}
            info = self._connection.update(indexing_deferred, metadata={BULK_KEY: previous})
            if not indexing_deferred(info):
                self._connection.remove_metadata_key(BULK_KEY)
                raise CollectionError(
                    f"{location_of(client)} does not show the metadata that were just written to "
                    f"collection {self._connection.name!r} (Qdrant keeps metadata since 1.16), so "
                    "the indexing threshold could not be restored after a bulk load. Leave --bulk "
                    "(bulk=True) out."
                )
        self._previous_threshold = effective_indexing_threshold(info)
        self._set_threshold(0)
        return True

    def check_allowed(self) -> None:
        """Refuse a bulk load, before anything is encoded, for which the API key lacks a right.

        A key of the metadata that never exists is removed, which changes nothing.

        Raises:
            AccessDeniedError: the key may not change the collection's settings.
        """
        if not capabilities(self._connection.client).indexes_in_background:
            return
        try:
            self._connection.remove_metadata_key(ACCESS_KEY)
        except AccessDeniedError as error:
            raise AccessDeniedError(
                f"{error} --bulk (bulk=True) changes settings: leave it out, and a key for this "
                "collection alone is enough."
            ) from error

    def resume_indexing(self) -> bool:
        """Enable index building where a bulk load deferred it; returns whether it was deferred.

        Raises:
            AccessDeniedError: the API key may not change the collection's settings.
            StoreError: the server does not take the setting; the collection stays marked.
        """
        info = self._connection.info()
        if indexing_deferred(info):
            previous = effective_indexing_threshold(info)
        elif self._previous_threshold and _threshold(info) == 0:  # another load removed the note
            previous = self._previous_threshold
        else:
            return False
        if self._set_threshold(previous) == 0:
            raise StoreError(
                f"{location_of(self._connection.client)} does not enable index building of "
                f"{self._connection.name!r} again (indexing_threshold {previous}). "
                "Any later ingest into it tries again."
            )
        self._connection.remove_metadata_key(BULK_KEY)
        return True

    def wait_for_index(self, progress: IndexProgress | None = None) -> bool:
        """Wait until the server has nothing left to index.

        Where shards have replicas, the server reports one of each: others may still be indexing.

        Args:
            progress: called twice a second; may raise to stop waiting.

        Returns:
            Whether a server builds this index, so that there was something to wait for.

        Raises:
            StoreError: the server's optimizers failed.
        """
        connection = self._connection
        if not capabilities(connection.client).indexes_in_background:
            return False
        green_polls = 0
        sparse = connection.count_sparse_vectors(connection.info()) if progress else 0
        while True:
            info = connection.info()
            status, optimizers = info.status.value, info.optimizer_status
            if status == "red" or not isinstance(getattr(optimizers, "value", optimizers), str):
                raise StoreError(
                    f"{location_of(connection.client)} failed to index {connection.name!r} "
                    f"(status {status}, {optimizers}). The points are kept; see the server's log."
                )
            if status == "grey":
                self._wake_optimizers()
            green_polls = green_polls + 1 if status == "green" else 0
            if progress:
                indexed = max(0, (info.indexed_vectors_count or 0) - sparse)
                progress(indexed, info.points_count or 0)
            if green_polls == GREEN_POLLS:
                return True
            time.sleep(POLL_SECONDS)

    def _wake_optimizers(self) -> None:
        """Send an update that changes nothing: after a restart, optimizers wait for one."""
        from qdrant_client import models

        unchanged = models.OptimizersConfigDiff()
        self._connection.call(
            lambda: self._connection.client.update_collection(
                self._connection.name, optimizers_config=unchanged
            )
        )

    def _set_threshold(self, threshold: int | None) -> int | None:
        """Change the threshold; returns the one that is seen afterwards."""
        from qdrant_client import models

        return _threshold(
            self._connection.update(
                lambda info: _threshold(info) == threshold,
                optimizers_config=models.OptimizersConfigDiff(indexing_threshold=threshold),
            )
        )


def effective_indexing_threshold(info: models.CollectionInfo) -> int | None:
    """Return `indexing_threshold`, or the previous value while a bulk load defers indexing."""
    deferred = _deferred_settings(info)
    if deferred is None:
        return _threshold(info)
    return int(deferred.get("indexing_threshold", DEFAULT_INDEXING_THRESHOLD))


def indexing_deferred(info: models.CollectionInfo) -> bool:
    """Return whether a bulk load has deferred index building and not resumed it."""
    return _deferred_settings(info) is not None


def warn_if_deferred(name: str, info: models.CollectionInfo) -> None:
    """Log a warning where index building is deferred."""
    if indexing_deferred(info):
        logger.warning(
            "Index building of collection %r is deferred by a bulk load that has not finished: "
            "until then a search compares every vector. Any ingest into it enables it at its end",
            name,
        )


def _threshold(info: models.CollectionInfo) -> int | None:
    return info.config.optimizer_config.indexing_threshold


def _deferred_settings(info: models.CollectionInfo) -> Mapping[str, Any] | None:
    found = metadata_of(info).get(BULK_KEY)
    return found if isinstance(found, Mapping) else None
