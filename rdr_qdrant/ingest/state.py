"""The books of a load: what became of each row, and whom to tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rdr_qdrant.client import RetryPolicy
from rdr_qdrant.ingest import diff as stages
from rdr_qdrant.ingest.batch_result import Account
from rdr_qdrant.ingest.diff import Item, Retry, Work, Written
from rdr_qdrant.ingest.id_index import FirstOccurrence, IdIndex
from rdr_qdrant.ingest.options import LoadSettings
from rdr_qdrant.ingest.partitions import Part
from rdr_qdrant.ingest.records import Row
from rdr_qdrant.ingest.remote_batch import Done
from rdr_qdrant.ingest.report import LoadReport, Tally
from rdr_qdrant.ingest.verify import Verification
from rdr_qdrant.readers import Reject


class Books:
    """Every row is in the counts once; all is told in the thread that calls.

    Args:
        settings: of the load.
        parts: of the load; how far they were read elsewhere is noted in their sources.
        retrying: what makes the calls that are no writing, and counts those it made again.

    Attributes:
        tally: the counts.
        seen: the points of this load.
        verification: a sample of them.
        repeated: of the rows that were set aside, those with the id of an earlier one.
    """

    def __init__(
        self, settings: LoadSettings, parts: Sequence[Part], retrying: RetryPolicy
    ) -> None:
        self.tally = Tally(settings.collection_name, dry_run=settings.dry_run)
        self.seen = IdIndex()
        self.verification = Verification()
        self.repeated = 0
        self._settings = settings
        self._parts = parts
        self._retrying = retrying
        self._taken = self._told = 0

    def close(self) -> None:
        """Forget the points."""
        self.seen.close()

    def report(self, **others: Any) -> LoadReport:
        """The report as it stands."""
        return self.tally.report(retries=self._retrying.retries + self.tally["retries"], **others)

    def took(self, rows: Sequence[Row]) -> None:
        """These rows are in hand now."""
        self._taken += len(rows)

    def reject_read(self, row: Reject) -> None:
        """A row that could not be read."""
        self._taken += 1
        self._reject(row)

    def new_items(self, rows: Iterable[Row], fingerprint: str) -> list[Item]:
        """The points of rows whose ids were not met before in this load."""
        items = []
        for row in rows:
            item = stages.item_of(row, fingerprint)
            sighting = FirstOccurrence(row.content_digest(), row.source, row.line)
            first = self.seen.add(item.id, sighting)
            if first is None:
                items.append(item)
            elif first.digest == sighting.digest:
                self.tally.add(read=1, unchanged=1)
            else:
                self.repeated += 1
                self._reject(row.set_aside(first.conflict_reason()))
        return items

    def note(self, work: Work) -> None:
        """What needs no doing."""
        account = Account(self.verification)
        account.note(work)
        self._settle(account)

    def note_dry(self, work: Work) -> None:
        """What would be done."""
        self.tally.add(read=len(work.fresh), uploaded=len(work.fresh))
        self.tally.add(read=len(work.changed), updated=len(work.changed))

    def take(self, results: Iterator[Written | Retry] | Iterator[Done | Retry]) -> None:
        """Count what was done, and pass on what is told.

        Raises:
            RDRQdrantError: what ended a batch elsewhere.
        """
        for result in results:
            if isinstance(result, Retry):
                self.tally.add(retries=1)
                if self._settings.on_retry:
                    self._settings.on_retry(result.why, result.seconds)
                continue
            if isinstance(result, Written):
                account = Account(self.verification)
                account.written(result)
                self._settle(account)
            else:
                self._settle_done(result)
            self.tell_progress()

    def take_the_rest(self, results: Iterator[Done | Retry]) -> None:
        """Count what was done elsewhere after something ended the load; nobody is told of it."""
        for result in results:
            if isinstance(result, Done):
                self._count(result)

    def tell_progress(self) -> None:
        """Tell whoever wants to know, where there is something new."""
        read = self.tally["read"]
        if self._settings.on_progress and read > self._told:
            self._told = read
            self._settings.on_progress(self.report(in_hand=max(0, self._taken - read)))

    def _settle(self, account: Account) -> None:
        """All that it counted is in the counts of the load afterwards."""
        self.tally.add(**account.counts)
        for gone in account.gone:
            self.seen.forget(gone)
        for row in account.rejects:
            self._reject(row)

    def _settle_done(self, done: Done) -> None:
        """`_settle` for what was done elsewhere."""
        batch, part = done.batch, self._parts[done.batch.part]
        if part.source and part.reading:
            part.source.set_progress(batch.read, batch.fraction)
        self._count(done)
        self.repeated += batch.conflicting
        for row in [*batch.rejects, *done.rejects]:
            self._reject(row)
        if done.error:
            raise done.error

    def _count(self, done: Done) -> None:
        same = done.batch.same
        self.tally.add(**done.counts)
        self.tally.add(read=same, unchanged=same)
        self.seen.note(done.there)
        self.verification.merge(done.sample)

    def _reject(self, row: Reject) -> None:
        self.tally.add(read=1, rejected=1)
        if self._settings.on_reject:
            self._settings.on_reject(row)
