"""One load from its first row to its report."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rdr_qdrant.collection import Collection, PointId
from rdr_qdrant.errors import StoreError
from rdr_qdrant.loader import documents, stages
from rdr_qdrant.loader.engine import Working
from rdr_qdrant.loader.pipeline import Pipeline
from rdr_qdrant.loader.pruning import prune, remove_leftovers
from rdr_qdrant.loader.report import LoadReport, Tally
from rdr_qdrant.loader.rows import Row
from rdr_qdrant.loader.seen import SeenPoints, Sighting
from rdr_qdrant.loader.settings import LoadSettings
from rdr_qdrant.loader.stages import Changed, Encoded, Item, Retry, Window, Work, Written
from rdr_qdrant.loader.stopping import Stopped
from rdr_qdrant.loader.target import Target
from rdr_qdrant.loader.verification import Verification, VerificationError
from rdr_qdrant.readers import PassageSource, Reject, RejectHandler
from rdr_qdrant.store import Retrying, write_streams

Rows = Callable[[RejectHandler, Collection], Iterable[Row]]


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
        rows: Rows,
        pruning: Pruning | None,
        origin: Mapping[str, Any],
    ) -> None:
        self._settings = settings
        self._stopping = settings.stopping
        self._rows = rows
        self._pruning = pruning
        self._tally = Tally(settings.collection_name, dry_run=settings.dry_run)
        self._retrying = Retrying(settings.retry_for, settings.on_retry, self._stopping.asked)
        self._target = Target(settings, origin, self._retrying)
        self._collection = self._target.collection
        self._given_up = threading.Event()
        self._retrying_writes = Retrying(settings.retry_for, self._tell_retry, self._given_up)
        self._verification = Verification()
        self._repeated = 0
        self._taken = self._told = 0
        self._removed: int | None = None
        self._switched: dict[str, Any] = {}

    def report(self) -> LoadReport:
        """Load everything, or up to where the loader is asked to stop."""
        interrupted = False
        with closing(SeenPoints()) as self._seen:
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
                self._target.say_if_put_off()
        return self._tally.report(
            points=self._count(unsure=interrupted),
            interrupted=interrupted,
            removed=self._removed,
            retries=self._retries,
            **self._switched,
        )

    @property
    def _retries(self) -> int:
        return self._retrying.retries + self._tally["retries"]

    def _load(self) -> None:
        settings = self._settings
        self._collection = self._target.find()
        self._tally.collection_name = self._collection.name
        if not self._load_rows():
            return
        if not settings.dry_run:
            self._verify()
        if self._pruning:
            self._prune(self._pruning)
        if not settings.dry_run:
            self._switched = self._target.finish()

    def _load_rows(self) -> bool:
        """Look at every row and do what is to do; whether the collection is there."""
        fingerprint: str | None = None
        there = False
        with self._made_pipeline() as self._pipeline:
            try:
                for rows in self._batches():
                    if fingerprint is None:
                        there, fingerprint = self._make_ready()
                    items = self._new_items(rows, fingerprint)
                    work = stages.look_up(self._collection, items) if there else Work(fresh=items)
                    self._note(work)
                    self._take(self._do(work))
                    self._tell_progress()
                self._take(self._pipeline.rest())
            except BaseException:
                self._given_up.set()
                self._take(self._pipeline.stop())
                raise
        return there

    def _made_pipeline(self) -> Working:
        settings, check = self._settings, self._stopping.check
        name = self._collection.name
        collection = Collection(settings.client, name, settings.vector_name, self._retrying_writes)

        def write(batch: Encoded | Changed) -> Written:
            return stages.write(collection, batch)

        if settings.engine:
            return settings.engine.begin(settings, name, write, check)
        pipeline: Pipeline[Window, Encoded | Changed, Written | Retry] = Pipeline(
            lambda window: stages.encode(settings.embeddings, window),
            write,
            writers=write_streams(settings.client),
            check=check,
        )
        return pipeline

    def _batches(self) -> Iterator[list[Row]]:
        rows = iter(self._rows(self._reject_row, self._collection))
        while True:
            with self._stopping.breakable():
                batch = list(islice(rows, self._settings.batch_size))
            if not batch:
                return
            self._taken += len(batch)
            yield batch

    def _make_ready(self) -> tuple[bool, str]:
        """Whether the collection is there now, and the encoders' fingerprint."""
        with self._stopping.breakable():
            return self._target.make_ready(to_be_pruned=self._pruning is not None)

    def _new_items(self, rows: Iterable[Row], fingerprint: str) -> list[Item]:
        """The points of rows whose ids were not met before in this load."""
        items = []
        for row in rows:
            item = stages.item_of(row, fingerprint)
            sighting = Sighting(item.content_digest(), row.source, row.line)
            first = self._seen.add(item.id, sighting)
            if first is None:
                items.append(item)
            elif first.digest == sighting.digest:
                self._tally.add(read=1, unchanged=1)
            else:
                self._repeated += 1
                self._reject(row.set_aside(first.why_not_again()))
        return items

    def _note(self, work: Work) -> None:
        """What needs no doing."""
        self._tally.add(taken_over=len(work.taken_over))
        for item in work.unchanged:
            self._verification.sent(item)
        self._tally.add(read=len(work.unchanged), unchanged=len(work.unchanged))
        for item in work.foreign:
            self._seen.forget(item.id)
            reason = "its point id is taken by a point that other software wrote"
            self._reject(item.row.set_aside(reason))

    def _do(self, work: Work) -> Iterator[Written | Retry]:
        """Put what is to do into the pipeline, or only count it; results of what was there."""
        if self._settings.dry_run:
            self._tally.add(read=len(work.fresh), uploaded=len(work.fresh))
            self._tally.add(read=len(work.changed), updated=len(work.changed))
            return
        if work.changed:
            yield from self._pipeline.feed_encoded(Changed(work.changed))
        if work.fresh:
            with self._stopping.breakable():  # the encoder may have to be loaded
                window = stages.window_of(self._settings.embeddings, work.fresh)
            yield from self._pipeline.feed(window)

    def _take(self, results: Iterator[Written | Retry]) -> None:
        """Count what was written, and pass on what the writers tell."""
        for result in results:
            if isinstance(result, Written):
                self._count_written(result)
                self._tell_progress()
            else:
                self._tally.add(retries=1)
                if self._settings.on_retry:
                    self._settings.on_retry(result.why, result.seconds)

    def _count_written(self, result: Written) -> None:
        """Every item of it is in the counts afterwards."""
        batch = result.batch
        if isinstance(batch, Encoded):
            for item, vector, cut in zip(batch.items, batch.vectors, batch.truncated, strict=True):
                if not self._too_large(item, result.refused):
                    self._verification.sent(item, vector)
                    self._tally.add(read=1, uploaded=1, truncated=int(cut))
        else:
            for item in batch.items:
                if not self._too_large(item, result.refused):
                    self._verification.sent(item)
                    self._tally.add(read=1, updated=1)

    def _tell_progress(self) -> None:
        read = self._tally["read"]
        if self._settings.on_progress and read > self._told:
            self._told = read
            in_hand = self._taken - read
            report = self._tally.report(retries=self._retries, in_hand=in_hand)
            self._settings.on_progress(report)

    def _tell_retry(self, why: str, seconds: float) -> None:
        self._pipeline.tell(Retry(why, seconds))

    def _too_large(self, item: Item, refused: set[PointId]) -> bool:
        if item.id not in refused:
            return False
        self._seen.forget(item.id)
        self._reject(item.row.set_aside("larger than Qdrant takes in one request"))
        return True

    def _verify(self) -> None:
        check = self._stopping.check
        self._tally.add(verified=self._verification.count(self._collection, self._seen, check))
        self._tally.add(compared=self._verification.compare(self._collection))
        if self._target.is_new and self._collection.count() > self._tally["verified"]:
            self._removed = remove_leftovers(self._collection, self._seen, check)

    def _prune(self, pruning: Pruning) -> None:
        sources, id_prefix = pruning.sources, pruning.id_prefix
        if any(source.missing for source in sources):
            return
        if self._tally["rejected"] - documents.set_aside(sources) > self._repeated:
            return
        self._removed = prune(
            self._collection,
            [source.name for source in sources if source.read],
            self._seen,
            id_prefix=id_prefix,
            keeps=documents.keeper(sources, id_prefix),
            dry_run=self._settings.dry_run,
            check=self._stopping.check,
        )

    def _count(self, *, unsure: bool) -> int | None:
        try:
            return self._collection.count() if self._collection.exists() else 0
        except StoreError:
            if unsure:
                return None
            raise

    def _reject_row(self, row: Reject) -> None:
        self._taken += 1
        self._reject(row)

    def _reject(self, row: Reject) -> None:
        self._tally.add(read=1, rejected=1)
        if self._settings.on_reject:
            self._settings.on_reject(row)
