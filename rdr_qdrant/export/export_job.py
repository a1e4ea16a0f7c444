"""One encoding from its first row to its last shard; it goes on where one before ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from rdr_qdrant.errors import SourceError
from rdr_qdrant.export.export_io import held, writing
from rdr_qdrant.export.export_report import EncodeReport
from rdr_qdrant.export.export_settings import EncodeSettings
from rdr_qdrant.export.manifest import Manifest, Options, Origin
from rdr_qdrant.export.parquet_io import ShardRow, need_pyarrow, table_of, write_shard
from rdr_qdrant.export.partial_file import UnfinishedShard
from rdr_qdrant.export.record import Record, folder_counts, manifest_before
from rdr_qdrant.export.stages import EncodedWindow, OpenShard, Window, Written
from rdr_qdrant.ingest.cancellation import Stopped
from rdr_qdrant.ingest.diff import Item, item_of
from rdr_qdrant.ingest.id_index import FirstOccurrence, IdIndex
from rdr_qdrant.ingest.records import Row, rows_of_sources
from rdr_qdrant.ingest.thread_executor import Pipeline
from rdr_qdrant.passages import Passage
from rdr_qdrant.readers import PassageSource, Reject

DONE = ("encoded", "kept", "repeated", "rejected")
"""The counts in which every row is in the end, once."""


class Encoding:
    """One encoding with its counts."""

    def __init__(
        self, settings: EncodeSettings, sources: Sequence[PassageSource], split: int | None
    ) -> None:
        self._settings = settings
        self._stopping = settings.stopping
        self._folder = Path(settings.folder)
        self._sources = sources
        self._split = split
        self._started = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._origins: list[Origin] = []
        self._there: dict[str, int] = {}
        self._window: list[Item] = []
        self._unknown = self._taken = self._told = 0

    def report(self) -> EncodeReport:
        """Encode everything, or up to where it is asked to stop."""
        need_pyarrow()
        interrupted = False
        with closing(IdIndex()) as self._seen:
            batches = self._batches()
            try:
                first = next(batches, None)
                if first is None:
                    raise self._nothing()
                with writing(self._folder):
                    self._folder.mkdir(parents=True, exist_ok=True)
                with held(self._folder):
                    self._make_ready()
                    try:
                        self._encode(chain([first], batches))
                    finally:
                        self._there = self._record.counts()
            except Stopped:
                interrupted = True
        if not interrupted and not self._there["shards"]:
            raise self._nothing()
        return self._report(self._counts | self._there, interrupted=interrupted)

    def _make_ready(self) -> None:
        """Begin the folder, or find out what is there of this encoding."""
        settings = self._settings
        before = manifest_before(self._folder)
        if before:  # loading the encoders may be broken off
            unfinished = UnfinishedShard.find_all(self._folder)
            self._there = folder_counts(before.shards, unfinished.values())
        with self._stopping.breakable():
            identity = settings.embeddings.identity()
            options = Options(
                sources=tuple(source.name for source in self._sources),
                split=self._split,
                shard_size=settings.shard_size,
                vectors=settings.vectors,
                fingerprint=settings.embeddings.fingerprint(),
                precision=identity.precision,
            )
        self._record = Record(self._folder, Manifest(identity, options), before)

    def _encode(self, batches: Iterable[list[Row]]) -> None:
        fingerprint = self._record.manifest.options.fingerprint
        self._open = self._opened(0)
        pipeline: Pipeline[Window, EncodedWindow, Written] = Pipeline(
            self._encode_window, self._write, writers=1, check=self._stopping.check
        )
        with pipeline as self._pipeline:
            try:
                for rows in batches:
                    for item in self._new_items(rows, fingerprint):
                        self._take_item(item)
                    self._tell_progress()
                if self._open.rows:
                    self._close_shard()
                self._take(self._pipeline.rest())
            except BaseException:
                self._take(self._pipeline.stop())
                raise
        if self._record.manifest.shards[-1].number > self._open.number:
            passages = sum(origin.passages for origin in self._origins)
            raise self._changed(f"they have {passages:,} passages now, fewer than then")
        self._record.complete(self._origins, self._unknown)

    def _opened(self, number: int) -> OpenShard:
        known, whole = self._record.known(number), number in self._record.shards
        return OpenShard(number, known, None if whole else self._record.unfinished(number))

    def _take_item(self, item: Item) -> None:
        kept = self._open.unfinished
        if self._open.rows == self._settings.shard_size:
            self._close_shard()
            self._open = self._opened(self._open.number + 1)
        elif kept and kept.expected is None and len(self._window) >= self._settings.batch_size:
            self._flush(kept, closes=False)
        self._open.add(item)
        self._note_origin(item)
        if self._open.unfinished:
            self._window.append(item)
            self._take_over(self._open.unfinished)

    def _take_over(self, kept: UnfinishedShard) -> None:
        """Leave the window to what was encoded before, where it was."""
        if kept.expected == self._open.rows and kept.take_over(self._open.content()):
            self._counts["kept"] += len(self._window)
            self._window = []

    def _close_shard(self) -> None:
        shard = self._open
        if shard.known and shard.differs():
            self._take(self._pipeline.rest())  # what is made anew is good all the same
            raise self._changed(f"{shard.known.file} was made of other rows than they have now")
        if shard.unfinished:
            self._flush(shard.unfinished, closes=True)
        else:
            self._counts["kept"] += shard.rows

    def _flush(self, shard: UnfinishedShard, *, closes: bool) -> None:
        items, self._window = self._window, []
        with self._stopping.breakable():
            passages = [item.row.passage for item in items]
            tokens = self._settings.embeddings.tokenize_passages(passages) if items else None
        first = self._open.rows - len(items)
        window = Window(shard, first, items, tokens, self._open.content(), closes)
        self._take(self._pipeline.feed(window))

    def _encode_window(self, window: Window) -> Iterator[EncodedWindow]:
        """One batch of the whole window, so that its rows stay in their order."""
        dimension = self._record.manifest.identity.dimension
        vectors = np.empty((len(window.items), dimension), dtype=np.float32)
        truncated = [False] * len(window.items)
        if window.items:
            for batch in self._settings.embeddings.encode_batches(window.tokens):
                vectors[batch.positions] = batch.vectors
                for position, cut in zip(batch.positions, batch.truncated, strict=True):
                    truncated[position] = cut
        yield EncodedWindow(window, vectors, truncated)

    def _write(self, batch: EncodedWindow) -> Written:
        """In the one thread that writes: windows come in their order."""
        window, kind = batch.window, self._settings.vectors
        rows = [
            ShardRow(item.row.passage, item.content_hash, item.row.line) for item in window.items
        ]
        if rows:
            table = table_of(rows, batch.vectors, batch.truncated, kind)
            window.shard.add(window.first, table, sum(batch.truncated), window.content)
        closed = write_shard(self._folder, window.shard, window.content) if window.closes else None
        return Written(len(rows), closed)

    def _take(self, results: Iterable[Written]) -> None:
        for result in results:
            self._counts["encoded"] += result.passages
            if result.finished:
                self._record.finish(result.finished)
            self._tell_progress()

    def _batches(self) -> Iterator[list[Row]]:
        rows = iter(
            rows_of_sources(self._sources, self._reject_row, self._split, "", _nothing_known)
        )
        while True:
            with self._stopping.breakable():
                batch = list(islice(rows, self._settings.batch_size))
            if not batch:
                return
            self._taken += len(batch)
            yield batch

    def _new_items(self, rows: Iterable[Row], fingerprint: str) -> Iterator[Item]:
        """The points of rows whose ids were not met before."""
        for row in rows:
            item = item_of(row, fingerprint)
            sighting = FirstOccurrence(row.content_digest(), row.source, row.line)
            first = self._seen.add(item.id, sighting)
            if first is None:
                yield item
            elif first.digest == sighting.digest:
                self._counts["repeated"] += 1
            else:
                self._reject(row.set_aside(first.conflict_reason()))

    def _note_origin(self, item: Item) -> None:
        name = item.row.source
        if self._origins and self._origins[-1].name == name:
            self._origins[-1] = Origin(name, self._origins[-1].passages + 1)
        else:
            self._origins.append(Origin(name, 1))

    def _reject_row(self, row: Reject) -> None:
        self._taken += 1
        self._unknown += 1
        self._reject(row)

    def _reject(self, row: Reject) -> None:
        self._counts["rejected"] += 1
        if self._settings.on_reject:
            self._settings.on_reject(row)

    def _tell_progress(self) -> None:
        done = sum(self._counts[name] for name in DONE)
        if self._settings.on_progress and done > self._told:
            self._told = done
            report = self._report(self._counts, in_hand=self._taken - done)
            self._settings.on_progress(report)

    def _report(self, counts: Mapping[str, Any], **others: Any) -> EncodeReport:
        read = sum(counts.get(name, 0) for name in DONE)
        seconds = time.monotonic() - self._started
        return EncodeReport(str(self._folder), read=read, seconds=seconds, **counts, **others)

    def _changed(self, how: str) -> SourceError:
        names = ", ".join(source.name for source in self._sources)
        return SourceError(
            f"{names} changed since {self._folder} was begun: {how}. Encode into another folder; "
            "what is in this one is kept as it is."
        )

    def _nothing(self) -> SourceError:
        where = ", ".join(source.name for source in self._sources)
        if self._counts["rejected"]:
            return SourceError(
                f"None of the {self._counts['rejected']:,} rows and documents of {where} can be "
                "used: nothing was written."
            )
        return SourceError(f"{where} holds no passages: there is nothing to encode.")


def _nothing_known(path: str, shared: Mapping[str, Any]) -> Sequence[Passage] | None:
    """Every document is converted: no collection tells of them here."""
    return None
