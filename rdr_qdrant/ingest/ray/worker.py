"""`Worker`: diffs, embeds and writes batches, on one GPU or core."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pydantic import SecretStr

from rdr_qdrant.client import RetryPolicy, connect
from rdr_qdrant.collection import Collection
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.encoding import EncodedBatch, Side
from rdr_qdrant.encoding.token_counter import TokenCounter
from rdr_qdrant.errors import ModelError, RDRQdrantError
from rdr_qdrant.ingest.batch_result import BatchResult, merge_results
from rdr_qdrant.ingest.passage_encoder import embed, tokenize
from rdr_qdrant.ingest.qdrant_sink import RemoteTarget, naming_rate
from rdr_qdrant.ingest.qdrant_writer import QdrantWriter
from rdr_qdrant.ingest.ray.codec import decode_batch, encode_result
from rdr_qdrant.ingest.ray.control_actor import ControlClient
from rdr_qdrant.ingest.ray.errors import WorkerError, ray_get, wrap_worker_errors
from rdr_qdrant.ingest.records import (
    EmbeddedBatch,
    MetadataUpdate,
    PendingPoint,
    RecordBatch,
    SourceRecord,
    to_pending,
)
from rdr_qdrant.passages import Passage
from rdr_qdrant.registry import PairIdentity

MAX_RESTARTS = 100
"""Restarts of all workers together before the job fails."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A Qdrant server as a worker reaches it; the key is not in its repr."""

    url: str
    api_key: SecretStr | None
    allow_key_over_http: str | None


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options that all workers of a job are started with.

    Attributes:
        pair: fields of the `RDREmbeddings`.
        fingerprint: of its encoder, in this job.
        server: the server.
        target: the collection.
        workers: their number.
    """

    pair: Mapping[str, Any]
    fingerprint: str
    server: ServerAddress
    target: RemoteTarget
    workers: int


class Worker:
    """Loads batches, some at a time; for `map_batches`, one actor for each GPU or core.

    While one batch is embedded, others are diffed, tokenized and written. The encoder and the
    client are opened when they are first needed. Errors are returned as part of the result, so
    that what was written before is counted. A batch may be loaded again after a worker died:
    points are written by their ids.

    Args:
        options: of the job.
        control: handle of the `ControlActor`.
    """

    def __init__(self, options: WorkerOptions, control: Any) -> None:
        self._options = options
        self._embeddings = RDREmbeddings(**options.pair)
        self._control = control
        self._opening = threading.Lock()
        self._embedding = threading.Lock()

    def __call__(self, block: Any) -> dict[str, Any]:
        return encode_result(self.load(decode_batch(block)))

    def load(self, batch: RecordBatch) -> BatchResult:
        """The result of a batch; an empty one if the job was asked to stop."""
        results: list[BatchResult] = []
        try:
            with wrap_worker_errors():
                for result in self._load(batch):
                    results.append(result)
        except RDRQdrantError as error:
            results.append(BatchResult(error=error))
        return replace(
            merge_results(results),
            partition=batch.partition,
            rows_read=batch.rows_read,
            fraction_read=batch.fraction_read,
        )

    def _load(self, batch: RecordBatch) -> Iterator[BatchResult]:
        with self._opening:
            control = self._control_client
        if control.stopped.is_set():
            return
        yield BatchResult.of_reading(batch)
        if batch.records:
            yield from self._write(batch.records)
        if batch.error:
            raise batch.error

    def _write(self, records: Sequence[SourceRecord]) -> Iterator[BatchResult]:
        with self._opening:
            writer = self._writer
        diff = writer.diff([to_pending(one, self._options.fingerprint) for one in records])
        yield diff.settled
        if diff.to_update_metadata:
            yield writer.write(MetadataUpdate(diff.to_update_metadata))
        if diff.to_embed:
            is_whole = len(diff.to_embed) == len(records)
            for embedded in self._embed(diff.to_embed, is_whole=is_whole):
                yield writer.write(embedded)

    def _embed(self, points: Sequence[PendingPoint], *, is_whole: bool) -> list[EmbeddedBatch]:
        with self._opening:
            self._check_fingerprint()
        tokens = tokenize(self._embeddings, points, is_whole=is_whole)
        with self._embedding:
            return list(embed(self._embeddings, tokens, self._options.target.vector_type))

    @cached_property
    def _control_client(self) -> ControlClient:
        starts = ray_get(self._control.count_worker_start.remote())
        if starts > self._options.workers + MAX_RESTARTS:
            raise WorkerError(
                f"Workers died {MAX_RESTARTS} times. Check that there is enough memory for "
                f"{self._options.workers} workers, and run the same command to resume."
            )
        return ControlClient(self._control)

    @cached_property
    def _writer(self) -> QdrantWriter:
        server, target, control = self._options.server, self._options.target, self._control_client
        client = connect(
            url=server.url,
            api_key=server.api_key,
            allow_key_over_http=server.allow_key_over_http,
            grpc_port=target.grpc_port,
        )
        on_retry = naming_rate(control.post_retry, target.points_per_minute)
        retry = RetryPolicy(target.retry_for, on_retry, control.stopped)
        collection = Collection(client, target.collection_name, target.vector_name, retry)
        return QdrantWriter(collection, target.vector_type)

    def _check_fingerprint(self) -> None:
        if self._fingerprint != self._options.fingerprint:
            raise ModelError(
                f"The encoder {self._embeddings.pair.context_encoder} is not the same on all "
                "machines of the cluster: its weights differ. Copy one checkpoint to all of them."
            )

    @cached_property
    def _fingerprint(self) -> str:
        return self._embeddings.fingerprint()


class EncoderActor:
    """A Ray actor that has the encoder before the workers are started.

    Args:
        pair: fields of the `RDREmbeddings`.
    """

    def __init__(self, pair: Mapping[str, Any]) -> None:
        self._embeddings = RDREmbeddings(**pair)

    def identity(self, sides: Sequence[Side]) -> PairIdentity:
        """See `RDREmbeddings.identity`."""
        with wrap_worker_errors():
            return self._embeddings.identity(*sides)

    def fingerprint(self) -> str:
        """See `RDREmbeddings.fingerprint`."""
        with wrap_worker_errors():
            return self._embeddings.fingerprint()

    def token_counter(self) -> TokenCounter:
        """See `RDREmbeddings.token_counter`; it brings the tokenizer along."""
        with wrap_worker_errors():
            counter = self._embeddings.token_counter()
            counter.count(["loaded"])
            return counter

    def passages_at_a_time(self) -> int:
        """See `RDREmbeddings.passages_at_a_time`."""
        with wrap_worker_errors():
            return self._embeddings.passages_at_a_time()

    def encode(self, passages: Sequence[Passage]) -> list[EncodedBatch]:
        """See `PassageEncoder.encode_batches`."""
        with wrap_worker_errors():
            tokens = self._embeddings.tokenize_passages(passages)
            return list(self._embeddings.encode_batches(tokens))
