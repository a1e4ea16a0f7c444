"""`ParquetSink`: a job's points in a folder of Parquet files, to be loaded elsewhere."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import portalocker

from rdr_qdrant.atomic_io import remove_temporary_files, translate_write_errors
from rdr_qdrant.collection.payload import canonical_json
from rdr_qdrant.errors import OutputError, SourceError
from rdr_qdrant.export.export_report import EncodeReport
from rdr_qdrant.export.manifest import (
    Manifest,
    Origin,
    ShardEntry,
    ShardOptions,
    check_same_options,
    read_manifest_if_any,
)
from rdr_qdrant.export.parquet_io import ShardFile, ShardRow, is_whole, table_of
from rdr_qdrant.ingest.batch_result import BatchResult, reject_points
from rdr_qdrant.ingest.counters import Counters
from rdr_qdrant.ingest.id_index import IdIndex
from rdr_qdrant.ingest.passage_encoder import PassageEncoder, VectorType, unstorable_reason
from rdr_qdrant.ingest.records import EmbeddedBatch, MetadataUpdate, PendingPoint
from rdr_qdrant.ingest.sink import OnRetry, PointDiff, Write
from rdr_qdrant.ingest.verify import Sample
from rdr_qdrant.readers import PassageSource, source_changes
from rdr_qdrant.splitter import SplitRecord

LOCK_FILE = ".encode.lock"
SECONDS_PER_SHARD = 120.0
"""A shard is finished after that time even if it is not full: a kill loses no more than that."""


class ParquetSink:
    """A `Sink`: writes shards in the order of the records; a shard is there whole or not at all.

    The manifest lists the finished shards. When the same sources are encoded again, records that
    are in finished shards are skipped, after a comparison of the content; shards that are missing
    or damaged are rebuilt.

    Args:
        folder: where to; created if it does not exist.
        encoder: that makes the vectors.
        sources: in their order.
        split: how texts are split.
        shard_size: most passages of a shard.
        vectors: `float32` or `float16`.
    """

    write_threads = 1
    keeps_order = True

    def __init__(
        self,
        *,
        folder: Path,
        encoder: PassageEncoder,
        sources: Sequence[PassageSource],
        split: SplitRecord,
        shard_size: int,
        vectors: VectorType,
    ) -> None:
        self._folder = folder
        self._encoder = encoder
        self._sources = sources
        self._source_names = tuple(source.name for source in sources)
        self._split = split
        self._shard_size = shard_size
        self.vector_type = vectors
        self._lock: IO[bytes] | None = None
        self._manifest: Manifest | None = None
        self._whole: set[int] = set()
        self._cursor: _ShardCursor | None = None
        self._rejected_from: list[str] = []
        self._upcoming: deque[ShardEntry] = deque()
        self._to_rebuild: deque[ShardEntry] = deque()
        self._file: ShardFile | None = None
        self._failed = False
        self._origins: list[Origin] = []
        self._passages = 0

    def open(self) -> None:
        """See `Sink.open`."""

    def prepare(self) -> str:
        """Create the folder, or find the finished shards in it; the encoder's fingerprint.

        Raises:
            OutputError: the folder cannot be written, is in use, or holds other files.
            UsageError: it was begun with other sources, options or another encoder.
            SourceError: its manifest is missing or damaged.
        """
        with translate_write_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self._folder)
        self._manifest = read_manifest_if_any(self._folder)
        identity = self._encoder.identity()
        options = ShardOptions(
            sources=self._source_names,
            split=self._split.to_json(),
            shard_size=self._shard_size,
            vectors=self.vector_type,
            fingerprint=self._encoder.fingerprint(),
            precision=identity.precision,
        )
        wanted = Manifest(identity, options)
        remove_temporary_files(self._folder)
        if self._manifest is None:
            self._manifest = wanted
            wanted.write(self._folder)
        else:
            check_same_options(self._folder, wanted, self._manifest)
        known = self._manifest.shards
        self._whole = {one.number for one in known if is_whole(self._folder, one)}
        self._upcoming = deque(known)
        self._to_rebuild = deque(one for one in known if one.number not in self._whole)
        self._next_cursor()
        return options.fingerprint

    def diff(self, points: Sequence[PendingPoint]) -> PointDiff:
        """See `Sink.diff`: points of finished shards are skipped, or rejected as they were then.

        Raises:
            SourceError: a shard was made of other records than the sources have now.
        """
        to_embed, rejected = [], []
        kept = 0
        for point in points:
            self._add_to_origins(point.record.source)
            if self._cursor is None:
                to_embed.append(point)
                continue
            self._cursor.add(point)
            if self._cursor.shard.number not in self._whole:
                to_embed.append(point)
            elif self._cursor.is_unstorable:
                rejected.append(point)
            else:
                kept += 1
            if self._cursor.is_at_end:
                if self._cursor.differs:
                    file = self._cursor.shard.file
                    raise self._changed(f"{file} was made of other rows than they have now")
                self._next_cursor()
        settled = replace(self._reject(rejected), counts=Counter(read=kept, unchanged=kept))
        return PointDiff(to_embed, settled=settled)

    def check_target(self) -> None:
        """See `Sink.check_target`: the folder is locked."""

    def before_first_write(self) -> None:
        """See `Sink.before_first_write`."""

    def writer(self, on_retry: OnRetry, give_up: threading.Event) -> Write:
        """See `Sink.writer`."""
        return self._write

    def look_ahead(self, ids: IdIndex) -> bool:
        """See `Sink.look_ahead`: there is nothing to look up."""
        return False

    def verify(self, ids: IdIndex, sample: Sample, counters: Counters) -> None:
        """Finish the last shard.

        Raises:
            SourceError: the sources have fewer passages than when the folder was begun, or
                changed while they were read.
            OutputError: the shard cannot be written.
        """
        if self._cursor is not None:
            raise self._changed(f"they have {self._passages:,} passages now, fewer than then")
        self._finish_shard()
        for change in source_changes(self._sources):
            raise SourceError(
                f"{change}. {self._folder} is not complete: run the same command again."
            )

    def prune(self, ids: IdIndex, counters: Counters) -> None:
        """See `Sink.prune`: there is nothing to prune."""

    def publish(self, counters: Counters) -> None:
        """Mark the folder as complete."""
        if self._manifest is not None:
            missing = counters["rejected"] - counters["id_conflicts"]
            lost = Counter(self._rejected_from)
            stored = [Origin(one.name, one.passages - lost[one.name]) for one in self._origins]
            origins = tuple(origin for origin in stored if origin.passages)
            self._update_manifest(complete=True, origins=origins, missing=missing)

    def report(
        self, counters: Counters, *, in_hand: int = 0, interrupted: bool = False
    ) -> EncodeReport:
        """See `Sink.report`."""
        shards = self._manifest.shards if self._manifest else ()
        return EncodeReport(
            str(self._folder),
            read=counters["read"],
            encoded=counters["uploaded"],
            kept=counters["unchanged"],
            repeated=counters["duplicates"],
            rejected=counters["rejected"],
            truncated=sum(shard.truncated for shard in shards),
            passages=sum(shard.rows for shard in shards),
            shards=len(shards),
            bytes=sum(shard.bytes for shard in shards),
            seconds=counters.seconds,
            in_hand=in_hand,
            interrupted=interrupted,
        )

    def close(self, counters: Counters, *, interrupted: bool, failed: bool) -> EncodeReport | None:
        """Keep what was encoded of the last shard, as a smaller one, and unlock the folder."""
        try:
            if self._failed or (self._file is not None and self._file.is_rebuilt):
                self._discard_shard()
            if failed:
                with suppress(OutputError):  # another error is reported
                    self._finish_shard()
                return None
            self._finish_shard()
            return self.report(counters, interrupted=interrupted)
        finally:
            self._discard_shard()
            if self._lock is not None:
                self._lock.close()

    def _write(self, batch: EmbeddedBatch | MetadataUpdate) -> BatchResult:
        assert isinstance(batch, EmbeddedBatch)
        if self._failed:
            raise OutputError(f"An earlier batch could not be written to {self._folder}.")
        try:
            self._append(batch)
        except BaseException:
            self._failed = True  # later batches would leave a gap
            raise
        count = len(batch.points)
        rejected = self._reject(batch.unstorable.values())
        return replace(rejected, counts=Counter(read=count, uploaded=count))

    def _append(self, batch: EmbeddedBatch) -> None:
        """Append a batch to the open shard, and to the next ones when it is full."""
        records = list(batch.in_order())
        row = 0
        while records:
            file = self._file = self._file or self._start_shard()
            free = file.capacity - file.records
            part, records = records[:free], records[free:]
            stop = row + sum(has_vector for _, has_vector in part)
            truncated = batch.truncated[row:stop]
            rows = [
                ShardRow(point.record.passage, point.content_hash, point.record.line)
                for point in batch.points[row:stop]
            ]
            file.append(
                table_of(rows, batch.vectors[row:stop], truncated, self.vector_type),
                truncated=sum(truncated),
                content=[_content_of(point) for point, _ in part],
                unstorable=[n for n, (_, has_vector) in enumerate(part) if not has_vector],
            )
            row = stop
            is_old = time.monotonic() - file.started >= SECONDS_PER_SHARD
            if file.records == file.capacity or (is_old and not file.is_rebuilt):
                self._finish_shard()

    def _reject(self, points: Collection[PendingPoint]) -> BatchResult:
        self._rejected_from += [point.record.source for point in points]
        return reject_points(points, unstorable_reason(self.vector_type))

    def _start_shard(self) -> ShardFile:
        if self._to_rebuild:
            known = self._to_rebuild.popleft()
            return ShardFile(self._folder, known.number, known.records, is_rebuilt=True)
        assert self._manifest is not None
        last = max((shard.number for shard in self._manifest.shards), default=-1)
        return ShardFile(self._folder, last + 1, self._shard_size)

    def _finish_shard(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        assert self._manifest is not None
        shard = file.finish()
        shards = {one.number: one for one in self._manifest.shards}
        is_new = shard.number not in shards
        shards[shard.number] = shard
        reopened = {"complete": False, "origins": (), "missing": 0} if is_new else {}
        self._update_manifest(shards=tuple(one for _, one in sorted(shards.items())), **reopened)

    def _discard_shard(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.discard()

    def _update_manifest(self, **changes: Any) -> None:
        assert self._manifest is not None
        self._manifest = replace(self._manifest, **changes)
        self._manifest.write(self._folder)

    def _next_cursor(self) -> None:
        self._cursor = _ShardCursor(self._upcoming.popleft()) if self._upcoming else None

    def _add_to_origins(self, source: str) -> None:
        self._passages += 1
        if self._origins and self._origins[-1].name == source:
            self._origins[-1] = Origin(source, self._origins[-1].passages + 1)
        else:
            self._origins.append(Origin(source, 1))

    def _changed(self, how: str) -> SourceError:
        return SourceError(
            f"{', '.join(self._source_names)} changed since {self._folder} was begun: {how}. "
            "Encode into another folder; this one is kept as it is."
        )


class _ShardCursor:
    """The position of the records in a finished shard, and a digest of them so far."""

    def __init__(self, shard: ShardEntry) -> None:
        self.shard = shard
        self._records = 0
        self._digest = hashlib.sha256()

    def add(self, point: PendingPoint) -> None:
        self._records += 1
        self._digest.update(_content_of(point))

    @property
    def is_at_end(self) -> bool:
        return self._records == self.shard.records

    @property
    def is_unstorable(self) -> bool:
        """True if the shard does not hold the last record."""
        return self._records - 1 in self.shard.unstorable

    @property
    def differs(self) -> bool:
        return self._digest.hexdigest() != self.shard.content


def _content_of(point: PendingPoint) -> bytes:
    record = point.record
    return canonical_json([point.content_hash, point.metadata, record.source, record.line]).encode()


def _lock(folder: Path) -> IO[bytes]:
    """Lock the folder for this process; the system unlocks it when the process ends."""
    with translate_write_errors(folder):
        file = (folder / LOCK_FILE).open("ab")
    try:
        portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.LockException:
        file.close()
        raise OutputError(
            f"Another process is encoding into {folder}. Wait for it, or name another folder."
        ) from None
    return file
