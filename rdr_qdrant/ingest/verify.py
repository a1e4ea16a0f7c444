"""Verification at the end of a load: is everything stored as it was sent?"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rdr_qdrant.collection import Collection, PointId, Reservoir
from rdr_qdrant.collection.limits import parts
from rdr_qdrant.collection.payload import HASH_KEY, METADATA_KEY, TEXT_KEY, same_json
from rdr_qdrant.errors import StoreError
from rdr_qdrant.ingest.records import PendingPoint

if TYPE_CHECKING:
    from rdr_qdrant.ingest.id_index import IdIndex

T = TypeVar("T")
R = TypeVar("R")

SAMPLE_SIZE = 100
IDS_PER_REQUEST = 4096
MISSING_NAMED = 5
"""Missing points that the error names; the search for further ones ends there."""
VECTOR_TOLERANCE = 1e-3
"""Largest relative distance of a vector from the one sent: a collection may hold half floats."""
HALF_FLOAT_STEP = 6e-8
"""Distance of the half floats next to zero."""


class VerificationError(StoreError):
    """The collection does not hold what was sent."""


@dataclass(frozen=True, slots=True)
class SentPoint:
    """A point as it was sent.

    Attributes:
        id: its point id.
        text_digest: SHA-256 of its text.
        content_hash: see `passages.content_hash`.
        metadata: its metadata.
        vector: float32 [dim], where this job encoded it.
    """

    id: PointId
    text_digest: bytes
    content_hash: str
    metadata: Mapping[str, Any]
    vector: Any | None

    @classmethod
    def of(cls, point: PendingPoint, vector: Any | None) -> SentPoint:
        """The parts of a pending point that are compared."""
        return cls(
            id=point.id,
            text_digest=_digest(point.record.passage.text),
            content_hash=point.content_hash,
            metadata=point.metadata,
            vector=None if vector is None else vector.copy(),
        )


Sample = Reservoir[SentPoint]


def new_sample() -> Sample:
    """An empty sample of sent points."""
    return Reservoir(SAMPLE_SIZE)


class LookUps:
    """Looks up every point of a job in the collection, some before the last ones are written.

    Args:
        ids: every point of the job. One that is rejected meanwhile need not be there.
        collection: that is loaded, for look-ups ahead; its calls should not be retried.
    """

    def __init__(self, ids: IdIndex, collection: Collection) -> None:
        self._ids = ids
        self._ahead = collection
        self._pages = ids.batches(IDS_PER_REQUEST)
        self._absent: list[PointId] = []

    def look_ahead(self) -> bool:
        """Look up a page of points while others are being written; `finish` repeats absent ones.

        Returns:
            False if none is left, or Qdrant did not answer.
        """
        page = next(self._pages, [])
        try:
            self._absent += _absent_from(self._ahead, page)
        except StoreError:  # if it lasts, `finish` will raise it
            self._absent += page
            return False
        return bool(page)

    def finish(
        self,
        collection: Collection,
        threads: int,
        wait: Callable[[Future[Any]], None],
        give_up: threading.Event,
    ) -> int:
        """Look up the other points, now that all are written; the number of all.

        Args:
            collection: that was loaded.
            threads: that look up at a time; 0 if the caller's has to.
            wait: waits for an answer; may raise.
            give_up: set where no further answer is wanted, so that no look-up is retried.

        Raises:
            VerificationError: some are missing.
        """
        missing: list[PointId] = []
        rejected = set(self._ids.missing_from(self._absent))
        absent = [one for one in self._absent if one not in rejected]
        pages = chain(parts(absent, IDS_PER_REQUEST), self._pages)
        look_up = partial(_absent_from, collection)
        with closing(map_ahead(look_up, pages, threads, wait, give_up)) as answers:
            for found in answers:
                missing += found
                if len(missing) >= MISSING_NAMED:
                    break
        if missing:
            raise VerificationError(
                f"Points of this load are not in collection {collection.name!r}, though Qdrant "
                f"confirmed them: {', '.join(map(str, missing[:MISSING_NAMED]))}. Did somebody "
                "delete them? Run the same command again to load what is missing."
            )
        return len(self._ids)


def _absent_from(collection: Collection, ids: Sequence[PointId]) -> list[PointId]:
    present = collection.points.existing_ids(ids) if ids else set()
    return [one for one in ids if one not in present]


def map_ahead(
    function: Callable[[T], R],
    items: Iterable[T],
    threads: int,
    wait: Callable[[Future[Any]], None],
    give_up: threading.Event,
) -> Generator[R, None, None]:
    """Results of a function in the order of the items, some of them computed ahead in threads.

    Args:
        function: of one item.
        items: taken in the caller's thread, no more than two for each thread ahead.
        threads: how many; 0 for the caller's own.
        wait: called for each result, to wait for it; what it raises ends all.
        give_up: set before the threads are waited for at the end, whatever ends it.
    """
    if not threads:
        for item in items:
            done: Future[R] = Future()
            done.set_result(function(item))
            wait(done)
            yield done.result()
        return
    ahead: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads, "look up")
    try:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > 2 * threads:
                wait(ahead[0])
                yield ahead.popleft().result()
        while ahead:
            wait(ahead[0])
            yield ahead.popleft().result()
    finally:
        give_up.set()
        pool.shutdown(cancel_futures=True)


def compare_sample(collection: Collection, sent: Sequence[SentPoint]) -> int:
    """Number of sampled points, each read back and equal to the one sent.

    Raises:
        VerificationError: one is missing or differs.
    """
    stored = collection.points.retrieve_payloads_and_vectors([one.id for one in sent])
    for one in sent:
        difference = _difference(one, stored.get(one.id))
        if difference:
            raise VerificationError(
                f"Point {one.id} of collection {collection.name!r} {difference}. Does another load "
                "write to it with other content? Run the same command again; if it stays so, "
                "the store cannot be relied on."
            )
    return len(sent)


def _difference(sent: SentPoint, stored: tuple[Any, Any] | None) -> str | None:
    if stored is None:
        return "is missing, though Qdrant confirmed it"
    payload, vector = stored
    same = (
        payload.get(HASH_KEY) == sent.content_hash
        and _digest(str(payload.get(TEXT_KEY))) == sent.text_digest
        and same_json(sent.metadata, payload.get(METADATA_KEY))
    )
    if not same:
        return "has another payload than the one sent"
    if sent.vector is not None and not _close(sent.vector, vector):
        return "has another vector than the one sent"
    return None


def _close(sent: Any, stored: Any) -> bool:
    found, sent = np.asarray(stored, dtype=np.float64), np.asarray(sent, dtype=np.float64)
    if found.shape != sent.shape:
        return False
    tolerance = VECTOR_TOLERANCE * np.linalg.norm(sent) + HALF_FLOAT_STEP * np.sqrt(sent.size)
    return bool(np.linalg.norm(found - sent) <= tolerance)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
