"""`QdrantSink`: a job's points in a Qdrant collection, verified, pruned and published."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, fields
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import (
    RATE_LIMITED,
    AccessDeniedError,
    RetryPolicy,
    capabilities,
    grpc_port_of,
)
from rdr_qdrant.client.remedies import BM25_TAKEN_AWAY
from rdr_qdrant.collection import Collection, CollectionSettings
from rdr_qdrant.collection.bm25 import DEFAULT_LANGUAGE
from rdr_qdrant.collection.info import SPLIT_KEY
from rdr_qdrant.encoding import Side
from rdr_qdrant.errors import CollectionError, StoreError
from rdr_qdrant.ingest.alias_swap import AliasSwap
from rdr_qdrant.ingest.batch_result import BatchResult
from rdr_qdrant.ingest.cancellation import Cancellation
from rdr_qdrant.ingest.counters import Counters
from rdr_qdrant.ingest.document_cache import StoredDocuments
from rdr_qdrant.ingest.id_index import IdIndex
from rdr_qdrant.ingest.leftover_parts import Splitting, delete_leftover_parts
from rdr_qdrant.ingest.passage_encoder import PassageEncoder, VectorType
from rdr_qdrant.ingest.prune import Pruning, prune_sources, remove_leftovers
from rdr_qdrant.ingest.qdrant_writer import QdrantWriter
from rdr_qdrant.ingest.records import PendingPoint
from rdr_qdrant.ingest.report import LoadReport
from rdr_qdrant.ingest.sink import OnRetry, PointDiff, Write
from rdr_qdrant.ingest.verify import LookUps, Sample, compare_sample, new_sample
from rdr_qdrant.passages import FILE_KEY, SOURCE_KEY
from rdr_qdrant.registry import PairIdentity
from rdr_qdrant.splitter import SplitRecord

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_CHECKS = 0.1

REPORTED = (
    "read",
    "uploaded",
    "updated",
    "unchanged",
    "rejected",
    "taken_over",
    "truncated",
    "stale_vectors",
    "verified",
    "compared",
)
"""Counters that a report has by the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionTarget:
    """The collection of a load, and what the load may do to it; see `QdrantLoader`."""

    client: QdrantClient
    collection_name: str
    vector_name: str = ""
    settings: CollectionSettings | None = None
    allow_unverified: bool = False
    allow_resplit: bool = False
    recreate: bool = False
    dry_run: bool = False
    bulk: bool = False
    swap_alias: bool = False
    drop_old: bool = False
    index: bool = True
    retry_for: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteTarget:
    """The collection of a load, as processes need it that write to it by clients of their own.

    Attributes:
        collection_name: the collection; behind an alias, the new one.
        vector_name: its vector.
        vector_type: type of its stored components.
        retry_for: seconds for which a call is retried.
        points_per_minute: to be written at most; a single writer then uses the whole rate.
        grpc_port: of the server.
    """

    collection_name: str
    vector_name: str
    vector_type: VectorType
    retry_for: float
    points_per_minute: int | None
    grpc_port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexingHandlers:
    """Whom to tell while an index is built; see `QdrantLoader`."""

    on_indexing: Callable[[float], None] | None = None
    on_server_indexing: Callable[[int, int], None] | None = None


@dataclass(slots=True)
class _Outcome:
    """Values of the report beside the counters."""

    removed: int | None = None
    leftover_parts: int = 0
    alias: str | None = None
    replaced: str | None = None
    dropped: bool = False
    index_seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(kw_only=True)
class QdrantSink:
    """A `Sink`: creates or checks the collection, writes to it, verifies and publishes it.

    Args:
        target: the collection.
        encoder: that makes the vectors.
        origin: what tells this load from another into the same alias, see `AliasSwap`.
        pruning: what to prune, if anything.
        splitting: how the texts are split; `None` for passages as they come.
        on_retry: called in the job's own thread before a call is retried; not for those of
            `writer`, which has its own.
        handlers: called while an index is built.
        cancellation: of the job.

    Attributes:
        was_recreated: the collection existed, and was deleted and created again.
    """

    target: CollectionTarget
    encoder: PassageEncoder
    origin: Mapping[str, Any] = field(default_factory=dict)
    pruning: Pruning | None = None
    splitting: Splitting | None = None
    on_retry: OnRetry | None = None
    handlers: IndexingHandlers = field(default_factory=IndexingHandlers)
    cancellation: Cancellation = field(default_factory=Cancellation)
    keeps_order = False
    was_recreated: bool = field(init=False, default=False)
    vector_type: VectorType = field(init=False, default="float32")

    def __post_init__(self) -> None:
        target = self.target
        self._retry = RetryPolicy(target.retry_for, self._post_retry, self.cancellation.requested)
        self._retries: SimpleQueue[tuple[str, float]] = SimpleQueue()
        self._lookup_retries = 0
        self._job_thread = threading.get_ident()
        self.write_threads = capabilities(target.client).write_streams
        self.collection = self._collection_named(target.collection_name)
        self._swap: AliasSwap | None = None
        self._collection_exists = self._is_new = False
        self._had_bm25 = False
        self._indexing_deferred = False
        self._has_written = False
        self._creation_id: str | None = None
        self._recorded_split: SplitRecord | None = None
        self._outcome = _Outcome()
        self._sample = new_sample()
        self._look_ups: LookUps | None = None

    def open(self) -> None:
        """Find the collection; behind an alias it is one with a name of its own.

        Raises:
            CollectionError: see `AliasSwap.begin`.
        """
        target = self.target
        if not target.swap_alias:
            return
        pair = self.encoder.identity(Side.CONTEXT)
        settings = target.settings
        made = {
            "model": pair.label,
            "max_length": pair.max_length,
            "vector_name": target.vector_name,
            "settings": settings.model_dump(mode="json", exclude_defaults=True) if settings else {},
        }
        self._swap = AliasSwap(
            target.client,
            target.collection_name,
            {**self.origin, **made},
            drop_old=target.drop_old,
            retry=self._retry,
        )
        self._warn_if_bm25_goes()
        self.collection = self._collection_named(self._swap.begin())

    def prepare(self) -> str:
        """Create, recreate or check the collection; the encoder's fingerprint.

        Raises:
            CollectionError: it does not fit the pair, or is not ours to be changed so.
            ModelError: the encoder cannot be loaded.
        """
        target, collection = self.target, self.collection
        exists = self._exists()
        if target.recreate or not exists:
            collection.check_supported(target.settings)
        if exists and target.recreate:
            collection.check_ours("deleted")
            self._warn_if_bm25_goes()
            if target.dry_run:
                return ""
            identity = self.encoder.identity()
            collection.delete()
            self._create(identity)
            self.was_recreated = True
        elif exists:
            self._adopt_existing()
        elif target.dry_run:
            return ""
        else:
            self._create(self.encoder.identity())
        if self.pruning:
            collection.payload_indexes.make_filterable(SOURCE_KEY, dry_run=target.dry_run)
            with suppress(CollectionError, StoreError):  # pruning says what it cannot find
                collection.payload_indexes.make_filterable(FILE_KEY, dry_run=target.dry_run)
        self._keep_to_rate()
        fingerprint = self.encoder.fingerprint()
        if target.bulk and not target.dry_run:
            collection.check_ours("changed by --bulk (bulk=True)")
            collection.bulk_indexing.check_allowed()
        self._collection_exists = True
        self._had_bm25 = collection.bm25.record() is not None
        self._is_new = self._creation_id is not None
        settings = target.settings if self._is_new else collection.settings()
        self.vector_type = "float16" if settings and settings.datatype == "float16" else "float32"
        self._creation_id = self._creation_id or collection.creation_id()
        return fingerprint

    def check_target(self) -> None:
        """See `Sink.check_target`.

        Raises:
            CollectionError: it was deleted, or deleted and created again; or it was to have BM25,
                which was taken away.
        """
        if not self._collection_exists:
            return
        found = self.collection.creation_id()
        if found and self._creation_id and found != self._creation_id:
            raise CollectionError(
                f"Collection {self.collection.name!r} was created again by somebody else during "
                "this load, so it is no longer the one that was checked. Run the same command "
                "again when the other load has finished."
            )
        settings = self.target.settings
        if found and settings and settings.bm25 and self.collection.bm25.record() is None:
            raise CollectionError(f"Collection {self.collection.name!r}: {BM25_TAKEN_AWAY}")

    def stored_documents(self, id_prefix: str) -> StoredDocuments:
        """A look-up of the documents that the collection holds, made when the job reads them."""
        return StoredDocuments(
            lambda: self.collection,
            self.encoder,
            id_prefix,
            ignore_stored=self.target.recreate,
        )

    def diff(self, points: Sequence[PendingPoint]) -> PointDiff:
        """See `Sink.diff`; in a dry run nothing is left to be written."""
        if self._collection_exists:
            diff = QdrantWriter(self.collection, self.vector_type, self._sample).diff(points)
        else:
            diff = PointDiff(list(points))
        return _as_planned(diff) if self.target.dry_run else diff

    def before_first_write(self) -> None:
        """Defer index building, if that is asked for.

        Only now, since each change of that setting makes a server start its index building anew.

        Raises:
            CollectionError: see `BulkIndexing.defer_indexing`.
        """
        if self.target.bulk and not (self.target.dry_run or self._has_written):
            self._indexing_deferred = self.collection.bulk_indexing.defer_indexing()
        self._has_written = True

    def writer(self, on_retry: OnRetry, give_up: threading.Event) -> Write:
        """See `Sink.writer`."""
        naming = naming_rate(on_retry, self.collection.limits.points_per_minute)
        retry = RetryPolicy(self.target.retry_for, naming, give_up)
        collection = self._collection_named(self.collection.name, retry)
        return QdrantWriter(collection, self.vector_type, self._sample).write

    def remote_target(self) -> RemoteTarget:
        """The collection, for writers in other processes; after `open`."""
        return RemoteTarget(
            collection_name=self.collection.name,
            vector_name=self.target.vector_name,
            vector_type=self.vector_type,
            retry_for=self.target.retry_for,
            points_per_minute=self._write_rate(),
            grpc_port=grpc_port_of(self.target.client),
        )

    def look_ahead(self, ids: IdIndex) -> bool:
        """See `Sink.look_ahead`; only in a new collection, where a point that is there was written.

        Nor where reads are limited, or the job's own thread has to write.
        """
        if not (self._is_new and self.write_threads) or self._reads_are_limited():
            return False
        self._look_ups = self._look_ups or self._new_look_ups(ids)
        return self._look_ups.look_ahead()

    def verify(self, ids: IdIndex, sample: Sample, counters: Counters) -> None:
        """See `Sink.verify`.

        Raises:
            VerificationError: a point is missing or differs.
        """
        if self.target.dry_run or not self._collection_exists:
            return
        self.check_target()
        if not self._had_bm25 and self.collection.bm25.record():
            # Added during the load, whose writers may not have known of it.
            self.collection.bm25.add()
        counters.add({"verified": self._count_stored(ids)})
        counters.add({"compared": compare_sample(self.collection, sample.items)})

    def _count_stored(self, ids: IdIndex) -> int:
        """Look up all points in threads, which give up as soon as this one does."""
        look_ups = self._look_ups or self._new_look_ups(ids)
        threads = min(self.write_threads, 1) if self._reads_are_limited() else self.write_threads
        give_up = threading.Event()
        retry = RetryPolicy(self.target.retry_for, self._post_retry, give_up)
        collection = self._collection_named(self.collection.name, retry)
        try:
            return look_ups.finish(collection, threads, self._wait_for, give_up)
        finally:
            self._lookup_retries = retry.retries

    def _new_look_ups(self, ids: IdIndex) -> LookUps:
        without_retries = RetryPolicy()
        return LookUps(ids, self._collection_named(self.collection.name, without_retries))

    def _reads_are_limited(self) -> bool:
        return self.collection.limits.reads_per_minute is not None

    def prune(self, ids: IdIndex, counters: Counters) -> None:
        """See `Sink.prune`; in any case parts that a text no longer has are deleted.

        So are, from a collection that waits for its alias, the points of an interrupted run.
        """
        pruning, splitting = self.pruning, self.splitting
        if not self._collection_exists:
            return
        if not self.target.dry_run and self._waits_for_alias():
            self._remove_leftovers(ids)
        if splitting and splitting.may_leave_parts(self._recorded_split):
            self._delete_leftover_parts(splitting, ids)
        if pruning and pruning.is_possible(counters):
            self._outcome.removed = prune_sources(
                self.collection,
                pruning,
                ids,
                dry_run=self.target.dry_run,
                check=self.cancellation.check,
            )

    def _remove_leftovers(self, ids: IdIndex) -> None:
        points = self.collection.points
        if not points.counts_exactly or points.count() > len(ids):
            check = self.cancellation.check
            self._outcome.removed = remove_leftovers(self.collection, ids, check)

    def _delete_leftover_parts(self, splitting: Splitting, ids: IdIndex) -> None:
        dry_run, points = self.target.dry_run, self.collection.points
        if dry_run or not points.counts_exactly or points.count() > len(ids):
            self._outcome.leftover_parts = delete_leftover_parts(
                self.collection,
                ids,
                split_texts=splitting.split_texts(),
                split_before=self.target.allow_resplit and None in splitting.record.rows,
                whole_before=splitting.replaces_whole_rows(self._recorded_split),
                dry_run=dry_run,
                check=self.cancellation.check,
            )

    def publish(self, counters: Counters) -> None:
        """Build the index or wait for it, then point the alias at the collection."""
        if self.target.dry_run or not self._collection_exists:
            return
        self._outcome.index_seconds = self._finish_index()
        if self._swap is None:
            return
        self.cancellation.check()
        old = self._swap.finish(self.collection.name)
        self._outcome.alias = self.target.collection_name
        self._outcome.replaced = old
        self._outcome.dropped = self.target.drop_old and old is not None

    def report(self, counters: Counters, *, in_hand: int = 0, **others: Any) -> LoadReport:
        """See `Sink.report`."""
        counts: dict[str, Any] = dict(counters.of(REPORTED))
        counts["unchanged"] += counters["duplicates"]
        counts["retries"] = counters["retries"] + self._retry.retries + self._lookup_retries
        return LoadReport(
            self.collection.name,
            **counts,
            in_hand=in_hand,
            seconds=counters.seconds,
            dry_run=self.target.dry_run,
            **others,
        )

    def close(self, counters: Counters, *, interrupted: bool, failed: bool) -> LoadReport | None:
        """See `Sink.close`."""
        if self._indexing_deferred:
            logger.warning(
                "Index building of collection %r stays disabled, since the load did not finish; "
                "run the same command again to finish it and enable indexing",
                self.collection.name,
            )
        if failed:
            return None
        points = self._count_points(optional=interrupted)
        return self.report(
            counters,
            points=points,
            points_approximate=bool(points) and not self.collection.points.counts_exactly,
            interrupted=interrupted,
            **self._outcome.to_dict(),
        )

    def _keep_to_rate(self) -> None:
        """Write in one thread where a rate is limited: several would take each other's tokens."""
        if rate := self._write_rate():
            self.write_threads = min(self.write_threads, 1)
            logger.warning(
                "Collection %r takes at most %s points a minute (write_rate_limit of its strict "
                "mode), so that 1,000 passages take %s min or more",
                self.collection.name,
                f"{rate:,}",
                f"{math.ceil(1000 / rate):,}",
            )

    def _write_rate(self) -> int | None:
        """Points that may be written a minute; `None` in a dry run."""
        return None if self.target.dry_run else self.collection.limits.points_per_minute

    def _adopt_existing(self) -> None:
        target, collection = self.target, self.collection
        with collection.loading_encoders(self.encoder.pair_label):
            ours = self.encoder.identity(Side.CONTEXT)
        collection.check(ours, allow_unverified=target.allow_unverified)
        if target.settings and target.settings.bm25:
            collection.check_bm25(target.settings.bm25)
        if self.pruning:
            collection.check_ours("pruned")
        if not target.dry_run:
            collection.payload_indexes.add_missing(target.settings)
        collection.warn_about_differences(target.settings)
        if self.splitting:
            self._check_and_record_split(self.splitting)

    def _check_and_record_split(self, splitting: Splitting) -> None:
        collection = self.collection
        self._recorded_split = recorded = SplitRecord.from_json(collection.recorded(SPLIT_KEY))
        if not self.target.allow_resplit:
            splitting.check(collection.name, recorded)
        if recorded is None and splitting.record.splits_texts and collection.points.count():
            logger.warning(
                "Collection %r does not record how its texts were split; this load has %s. Texts "
                "that were split otherwise get other passages, in place of those they had",
                collection.name,
                splitting.record,
            )
        together = (recorded or SplitRecord()) | splitting.record
        if together != recorded and not self.target.dry_run:
            try:
                collection.record(SPLIT_KEY, together.to_json())
            except AccessDeniedError as error:
                logger.warning(
                    "Collection %r does not record this split: %s", collection.name, error
                )

    def _warn_if_bm25_goes(self) -> None:
        """Warn if the collection that is replaced has BM25, and the new one is to have none."""
        old, settings = self._collection_named(self.target.collection_name), self.target.settings
        if (settings and settings.bm25) or not old.exists():
            return
        if record := old.bm25.record():
            logger.warning(
                "The new collection will have no BM25, which the present %r has: searches in modes "
                "bm25 and hybrid will be refused. Add --bm25%s to keep it",
                old.name,
                f" --language {record.language}" if record.language != DEFAULT_LANGUAGE else "",
            )

    def _exists(self) -> bool:
        """True if it exists to be loaded into; an alias swap makes its new collection itself."""
        if self._swap and not self._swap.resumed:
            return False
        return self.collection.exists()

    def _create(self, identity: PairIdentity) -> None:
        notes = dict(self._swap.notes()) if self._swap else {}
        if self.splitting:
            notes[SPLIT_KEY] = self.splitting.record.to_json()
        self._creation_id = self.collection.create(identity, self.target.settings, notes)
        if self._swap:
            self._swap.check_noted(self.collection.name)

    def _finish_index(self) -> float | None:
        """Seconds that the index was built or waited for; `None` if neither was done."""
        collection = self.collection
        try:
            resumed = collection.bulk_indexing.resume_indexing()
        except AccessDeniedError as error:
            resumed = False
            logger.warning(
                "Index building of collection %r stays deferred by an earlier --bulk load: %s",
                collection.name,
                error,
            )
        self._indexing_deferred = False
        started = time.monotonic()
        waited = self.target.index and collection.build_index(self._on_indexing)
        if resumed or self.target.bulk or self._swap:
            waited = collection.bulk_indexing.wait_for_index(self._on_server_indexing) or waited
        return time.monotonic() - started if waited else None

    def _waits_for_alias(self) -> bool:
        """True until the alias points at it: until then nothing but this load fills it."""
        return self._swap is not None and not self._swap.is_swapped(self.collection.name)

    def _count_points(self, *, optional: bool) -> int | None:
        try:
            return self.collection.points.count() if self.collection.exists() else 0
        except StoreError:
            if optional:
                return None
            raise

    def _collection_named(self, name: str, retry: RetryPolicy | None = None) -> Collection:
        target = self.target
        return Collection(target.client, name, target.vector_name, retry or self._retry)

    def _wait_for(self, answer: Future[Any]) -> None:
        """Wait for a call in another thread; the job's own reports its retries meanwhile."""
        is_done = False
        while not is_done:
            self.cancellation.check()
            is_done = not wait([answer], timeout=SECONDS_BETWEEN_CHECKS).not_done
            self._report_retries()

    def _post_retry(self, reason: str, seconds: float) -> None:
        self._retries.put((reason, seconds))
        if threading.get_ident() == self._job_thread:
            self._report_retries()

    def _report_retries(self) -> None:
        while not self._retries.empty():
            retry = self._retries.get()
            if self.on_retry:
                self.on_retry(*retry)

    def _on_indexing(self, seconds: float) -> None:
        self.cancellation.check()
        if self.handlers.on_indexing:
            self.handlers.on_indexing(seconds)

    def _on_server_indexing(self, indexed: int, total: int) -> None:
        self.cancellation.check()
        if self.handlers.on_server_indexing:
            self.handlers.on_server_indexing(indexed, total)


def naming_rate(on_retry: OnRetry, points_per_minute: int | None) -> OnRetry:
    """`on_retry` that says which rate is reached, where it is known."""

    def report(reason: str, seconds: float) -> None:
        if reason == RATE_LIMITED and points_per_minute:
            reason = f"limit of {points_per_minute:,} points a minute reached"
        on_retry(reason, seconds)

    return report


def _as_planned(diff: PointDiff) -> PointDiff:
    """The diff of a dry run: writing is counted as done."""
    new, changed = len(diff.to_embed), len(diff.to_update_metadata)
    settled = diff.settled
    planned = Counter(settled.counts)
    planned.update(read=new + changed, uploaded=new, updated=changed)
    return PointDiff(
        settled=BatchResult(planned, settled.rejects, rejected_ids=settled.rejected_ids)
    )
