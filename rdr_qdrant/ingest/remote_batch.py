"""Rows that are loaded in other processes: what goes there, what is done there, what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rdr_qdrant.collection import Collection, PointId, Sampled
from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.ingest import diff as stages
from rdr_qdrant.ingest.batch_result import Account
from rdr_qdrant.ingest.diff import Changed, Encoded, Item
from rdr_qdrant.ingest.records import Row
from rdr_qdrant.ingest.verify import Sent
from rdr_qdrant.readers import Reject


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows of one part, in their order.

    Attributes:
        part: number of the part that they are of.
        rows: those that can be used.
        rejects: those of the same stretch that cannot.
        read: rows of the part that were read up to here.
        fraction: how much of the part that is; `None` where it is not known.
        same: rows that stood here too, but have id and content of an earlier one.
        conflicting: of the rejects, those that have the id of an earlier row, and other content.
        error: what ended the reading here.
    """

    part: int
    rows: Sequence[Row] = ()
    rejects: Sequence[Reject] = ()
    read: int = 0
    fraction: float | None = None
    same: int = 0
    conflicting: int = 0
    error: RDRQdrantError | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a batch.

    Attributes:
        batch: the batch, without its rows.
        counts: of the rows, by the names of `LoadReport`.
        rejects: rows that were set aside in writing.
        there: points that are in the collection now, as they should be.
        sample: some of them, to be compared at the end.
        error: what ended it; what was done until then is in the counts.
    """

    batch: RowBatch
    counts: Mapping[str, int] = field(default_factory=dict)
    rejects: Sequence[Reject] = ()
    there: Sequence[PointId] = ()
    sample: Sequence[Sampled[Sent]] = ()
    error: RDRQdrantError | None = None


def done(batch: RowBatch, account: Account, error: RDRQdrantError | None = None) -> Done:
    """What the account says of the batch."""
    return Done(
        batch=replace(batch, rows=()),
        counts=dict(account.counts),
        rejects=account.rejects,
        there=account.there,
        sample=account.sample,
        error=error or batch.error,
    )


def untouched(batch: RowBatch) -> Done:
    """Nothing was done of it, nor is to be counted."""
    return Done(RowBatch(batch.part, read=batch.read, fraction=batch.fraction))


def load_rows(
    rows: Sequence[Row],
    fingerprint: str,
    collection: Collection,
    encode: Callable[[Sequence[Item]], Iterable[Encoded]],
    account: Account,
) -> None:
    """Ask Qdrant what it has of these rows, encode and write what is new, and count all.

    Args:
        rows: with ids of which none stands twice.
        fingerprint: of the encoder.
        collection: where to.
        encode: gives items their vectors, some of them at a time.
        account: of these rows.

    Raises:
        StoreError: Qdrant does not answer for longer than its calls are made again, or refuses.
    """
    work = stages.look_up(collection, [stages.item_of(row, fingerprint) for row in rows])
    account.note(work)
    if work.changed:
        account.written(stages.write(collection, Changed(work.changed)))
    if work.fresh:
        for encoded in encode(work.fresh):
            account.written(stages.write(collection, encoded))
