"""One load from its first row to its report."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from rdr_qdrant.client import RetryPolicy, capabilities
from rdr_qdrant.collection import Collection
from rdr_qdrant.errors import StoreError
from rdr_qdrant.ingest import diff as stages
from rdr_qdrant.ingest import document_cache as documents
from rdr_qdrant.ingest.cancellation import Stopped
from rdr_qdrant.ingest.collection_setup import Target
from rdr_qdrant.ingest.diff import Changed, Encoded, Retry, Window, Work, Written
from rdr_qdrant.ingest.executor import Engine
from rdr_qdrant.ingest.options import LoadSettings
from rdr_qdrant.ingest.partitions import Part
from rdr_qdrant.ingest.prune import prune, remove_leftovers
from rdr_qdrant.ingest.records import Row
from rdr_qdrant.ingest.remote_batch import Done
from rdr_qdrant.ingest.report import LoadReport
from rdr_qdrant.ingest.state import Books
from rdr_qdrant.ingest.thread_executor import Pipeline
from rdr_qdrant.ingest.verify import VerificationError
from rdr_qdrant.readers import PassageSource

WRITTEN = ("uploaded", "updated")
"""Counts of points that were written."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """Of which sources, and under which prefix, points that are gone are to be removed."""

    sources: Sequence[PassageSource]
    id_prefix: str


class Run:
    """One load with its counts; made anew for each."""

    def __init__(
        self,
        settings: LoadSettings,
        parts: Sequence[Part],
        pruning: Pruning | None,
        origin: Mapping[str, Any],
    ) -> None:
        self._settings = settings
        self._stopping = settings.stopping
        self._parts = parts
        self._pruning = pruning
        retrying = RetryPolicy(settings.retry_for, settings.on_retry, self._stopping.asked)
        self._books = Books(settings, parts, retrying)
        self._target = Target(settings, origin, retrying)
        self._collection = self._target.collection
        self._given_up = threading.Event()
        self._retrying_writes = RetryPolicy(settings.retry_for, self._tell_retry, self._given_up)
        self._removed: int | None = None
        self._finished: dict[str, Any] = {}

    def report(self) -> LoadReport:
        """Load everything, or up to where the loader is asked to stop."""
        interrupted = False
        with closing(self._books):
            try:
                self._load()
            except Stopped:
                interrupted = True
            except VerificationError:
                raise
            except StoreError:
                if not self._stopping.asked.is_set():
                    raise
                interrupted = True
            finally:
                self._target.warn_if_deferred()
        return self._books.report(
            points=self._count(unsure=interrupted),
            interrupted=interrupted,
            removed=self._removed,
            **self._finished,
        )

    def _load(self) -> None:
        settings = self._settings
        self._collection = self._target.find()
        self._books.tally.collection_name = self._collection.name
        if not self._load_rows():
            return
        if not settings.dry_run:
            self._verify()
        if self._pruning:
            self._prune(self._pruning)
        if not settings.dry_run:
            self._finished = self._target.finish()

    def _load_rows(self) -> bool:
        """Look at every row and do what is to do; whether the collection is there."""
        engine = self._settings.engine
        if engine is None or self._settings.dry_run:
            return self._load_here(self._parts)
        return self._load_elsewhere(engine)

    def _load_here(self, parts: Sequence[Part]) -> bool:
        """By threads of this process."""
        books = self._books
        fingerprint: str | None = None
        there = False
        with self._made_pipeline() as self._pipeline:
            try:
                for rows in self._batches(parts):
                    if fingerprint is None:
                        there, fingerprint = self._make_ready()
                    items = books.new_items(rows, fingerprint)
                    work = stages.look_up(self._collection, items) if there else Work(fresh=items)
                    books.note(work)
                    books.take(self._do(work))
                    books.tell_progress()
                books.take(self._pipeline.rest())
            except BaseException:
                self._given_up.set()
                books.take(self._pipeline.stop())
                raise
        return there

    def _load_elsewhere(self, engine: Engine) -> bool:
        """By an engine, but for what can be read here alone."""
        begun = self._begun()
        if begun is None:  # there is nothing to load, but there may be rows to set aside
            return self._load_here([part for part in self._parts if part.reading])
        there, fingerprint = self._make_ready()
        settings, name = self._settings, self._collection.name
        with engine.begin(settings, name, fingerprint, self._parts, self._stopping.check) as work:
            try:
                for number, part in enumerate(self._parts):
                    if part.reading is None:
                        for rows in begun.get(number) or self._batches([part]):
                            self._books.take(self._seeing_writes(work.feed(number, rows)))
                        work.end(number)
                self._books.take(self._seeing_writes(work.rest()))
            except Stopped:
                self._books.take(work.stop())
                raise
            except BaseException:
                self._books.take_the_rest(work.stop())
                raise
        return there

    def _seeing_writes(self, results: Iterator[Done | Retry]) -> Iterator[Done | Retry]:
        """The results; at the first that says that something was written, the index is put off."""
        for result in results:
            if isinstance(result, Done) and not result.counts.keys().isdisjoint(WRITTEN):
                self._target.before_writing()
            yield result

    def _begun(self) -> dict[int, Iterable[list[Row]]] | None:
        """Parts whose reading had to be begun here to find a row that can be used.

        `None` where there is no such row.
        """
        begun: dict[int, Iterable[list[Row]]] = {}
        for number, part in enumerate(self._parts):
            if part.reading:
                with self._stopping.breakable():
                    if part.reading.has_rows():
                        return begun
                continue
            batches = self._batches([part])
            begun[number] = batches
            if first := next(batches, None):
                begun[number] = chain([first], batches)
                return begun
        return None

    def _made_pipeline(self) -> Pipeline[Window, Encoded | Changed, Written | Retry]:
        settings, check = self._settings, self._stopping.check
        name = self._collection.name
        collection = Collection(settings.client, name, settings.vector_name, self._retrying_writes)

        def write(batch: Encoded | Changed) -> Written:
            return stages.write(collection, batch)

        return Pipeline(
            lambda window: stages.encode(settings.embeddings, window),
            write,
            writers=capabilities(settings.client).write_streams,
            check=check,
        )

    def _batches(self, parts: Sequence[Part]) -> Iterator[list[Row]]:
        """The rows of parts, one part after the other."""
        rows = chain.from_iterable(
            part.rows(self._books.reject_read, self._collection) for part in parts
        )
        while True:
            with self._stopping.breakable():
                batch = list(islice(rows, self._settings.batch_size))
            if not batch:
                return
            self._books.took(batch)
            yield batch

    def _make_ready(self) -> tuple[bool, str]:
        """Whether the collection is there now, and the encoders' fingerprint."""
        with self._stopping.breakable():
            return self._target.make_ready(to_be_pruned=self._pruning is not None)

    def _do(self, work: Work) -> Iterator[Written | Retry]:
        """Put what is to do into the pipeline, or only count it; results of what was there."""
        if self._settings.dry_run:
            self._books.note_dry(work)
            return
        if work.changed or work.fresh:
            self._target.before_writing()
        if work.changed:
            yield from self._pipeline.feed_encoded(Changed(work.changed))
        if work.fresh:
            with self._stopping.breakable():  # the encoder may have to be loaded
                window = stages.window_of(self._settings.embeddings, work.fresh)
            yield from self._pipeline.feed(window)

    def _tell_retry(self, why: str, seconds: float) -> None:
        self._pipeline.tell(Retry(why, seconds))

    def _verify(self) -> None:
        check, tally, seen = self._stopping.check, self._books.tally, self._books.seen
        verification = self._books.verification
        tally.add(verified=verification.count(self._collection, seen, check))
        tally.add(compared=verification.compare(self._collection))
        more = self._collection.points.count() > tally["verified"]
        if more and self._target.is_unseen():
            self._removed = remove_leftovers(self._collection, seen, check)

    def _prune(self, pruning: Pruning) -> None:
        sources, id_prefix = pruning.sources, pruning.id_prefix
        if any(source.rejected_upstream for source in sources):
            return
        if self._books.tally["rejected"] - documents.set_aside(sources) > self._books.repeated:
            return
        self._removed = prune(
            self._collection,
            [source.name for source in sources if source.records_read],
            self._books.seen,
            id_prefix=id_prefix,
            keeps=documents.keeper(sources, id_prefix),
            dry_run=self._settings.dry_run,
            check=self._stopping.check,
        )

    def _count(self, *, unsure: bool) -> int | None:
        try:
            return self._collection.points.count() if self._collection.exists() else 0
        except StoreError:
            if unsure:
                return None
            raise
