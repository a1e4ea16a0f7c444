"""What runs on each GPU or core: one encoder, and a client of Qdrant's."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import SecretStr

from rdr_qdrant.client import RetryPolicy, connect
from rdr_qdrant.collection import Collection
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.encoding import Side
from rdr_qdrant.errors import ModelError, RDRQdrantError
from rdr_qdrant.ingest import diff as stages
from rdr_qdrant.ingest.batch_result import Account
from rdr_qdrant.ingest.diff import Encoded, Item
from rdr_qdrant.ingest.ray.codec import batch_of, boxed
from rdr_qdrant.ingest.ray.control_actor import Watch
from rdr_qdrant.ingest.ray.errors import WorkerError, answer_of, telling
from rdr_qdrant.ingest.remote_batch import Done, RowBatch, done, load_rows, untouched
from rdr_qdrant.ingest.verify import Verification
from rdr_qdrant.passages import Passage
from rdr_qdrant.registry import PairIdentity

RESTARTS = 100
"""How often workers that died are started again, before the load fails."""


@dataclass(frozen=True, slots=True)
class Server:
    """A Qdrant server as a worker reaches it; the key shows in no repr."""

    url: str
    api_key: SecretStr | None
    allow_key_over_http: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a load goes.

    Attributes:
        server: the server.
        collection_name: the collection.
        vector_name: its vector.
        retry_for: seconds for which a call is made again.
        fingerprint: of the encoder of this load.
        workers: that share the load.
    """

    server: Server
    collection_name: str
    vector_name: str
    retry_for: float
    fingerprint: str
    workers: int


class Worker:
    """Loads batches of rows; for `map_batches`, an actor each, some batches at a time.

    While one batch is encoded, others are looked up, tokenised and written. Nothing is loaded or
    reached before it is needed, and errors are values, so that what other batches did is counted.
    A batch may be loaded again, after a death too: points are written by their ids.

    Args:
        pair: fields of the `RDREmbeddings`.
        target: where to.
        board: a `Board`.
    """

    def __init__(self, pair: Mapping[str, Any], target: Target, board: Any) -> None:
        self._embeddings = RDREmbeddings(**pair)
        self._target = target
        self._board = board
        self._verification = Verification()
        self._starting = threading.Lock()
        self._encoding = threading.Lock()

    def __call__(self, block: Any) -> dict[str, Any]:
        return boxed(self.load(batch_of(block)))

    def load(self, batch: RowBatch) -> Done:
        """What became of a batch, or nothing where the load is being stopped."""
        account = Account(self._verification)
        try:
            with self._starting:
                watch = telling(lambda: self._watch)
            if watch.stopped.is_set():
                return untouched(batch)
            if batch.rows:
                telling(lambda: self._load(batch, account))
        except RDRQdrantError as error:
            return done(batch, account, error)
        return done(batch, account)

    def _load(self, batch: RowBatch, account: Account) -> None:
        with self._starting:
            collection = self._collection
        load_rows(batch.rows, self._target.fingerprint, collection, self._encode, account)

    def _encode(self, items: Sequence[Item]) -> Iterable[Encoded]:
        with self._starting:
            self._check_encoder()
        window = stages.window_of(self._embeddings, items)
        with self._encoding:
            return list(stages.encode(self._embeddings, window))

    @cached_property
    def _watch(self) -> Watch:
        starts = answer_of(self._board.count_start.remote())
        if starts > self._target.workers + RESTARTS:
            raise WorkerError(
                f"Workers died {RESTARTS} times. Is there memory enough for so many? What was "
                "written is kept; the same command goes on."
            )
        return Watch(self._board)

    @cached_property
    def _collection(self) -> Collection:
        target, server = self._target, self._target.server
        client = connect(
            url=server.url, api_key=server.api_key, allow_key_over_http=server.allow_key_over_http
        )
        retrying = RetryPolicy(target.retry_for, self._watch.tell, self._watch.stopped)
        return Collection(client, target.collection_name, target.vector_name, retrying)

    def _check_encoder(self) -> None:
        if self._fingerprint != self._target.fingerprint:
            raise ModelError(
                f"The encoder {self._embeddings.pair.context_encoder} is not the same on all "
                "machines of the cluster: its weights differ. Copy one checkpoint to all of them."
            )

    @cached_property
    def _fingerprint(self) -> str:
        return self._embeddings.fingerprint()


class Scout:
    """A Ray actor that says, before the load, what the encoder is where it will run.

    Args:
        pair: fields of the `RDREmbeddings`.
    """

    def __init__(self, pair: Mapping[str, Any]) -> None:
        self._embeddings = RDREmbeddings(**pair)

    def identity(self, sides: Sequence[Side]) -> PairIdentity:
        """See `RDREmbeddings.identity`."""
        return telling(lambda: self._embeddings.identity(*sides))

    def fingerprint(self) -> str:
        """See `RDREmbeddings.fingerprint`."""
        return telling(self._embeddings.fingerprint)

    def encode(self, passages: Sequence[Passage]) -> tuple[Any, Sequence[bool]]:
        """Vectors of passages, float32 [n, dim], and which were cut."""
        encoded = telling(lambda: self._embeddings.encode_passages_counted(passages))
        return encoded.vectors, encoded.truncated
