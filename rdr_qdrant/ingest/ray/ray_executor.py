"""`RayExecutor`: runs the batches of a job on a Ray cluster, or on this machine.

Ray Data reads, streams, restarts failed processes and retries their batches. This package adds
what a job promises:

- Records pass in their order through one process that deduplicates ids (`deduplicator`).
- A cancelled job finishes what is in flight. A dataset that is stopped drops it, so the job is
  stopped at its source and ends by itself (`control_actor`).
- Results come back as the rows of the dataset (`worker`).

Points are written by this package and not by `ray-qdrant` (0.1.1, Apache-2.0, Qdrant's own sink for
Ray Data), which differs in ways that matter here:

- Payload: metadata in Arrow columns get the keys of their neighbours as nulls, and a collection is
  created without our description.
- Retries: five attempts within about 15 seconds, without Retry-After; here for `retry_for` seconds,
  reported to the driver.
- A point larger than Qdrant takes ends its job; here it is rejected by name.
- It writes every row and reports nothing, so nothing could be skipped or verified.
- It holds the API key as plain text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

from pydantic import SecretStr

from rdr_qdrant.client import resolve_api_key
from rdr_qdrant.client.api_key import refuse_credentials_in
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.encoding import EncodedBatch, Side
from rdr_qdrant.errors import UsageError
from rdr_qdrant.ingest.batch_result import BatchResult
from rdr_qdrant.ingest.cancellation import JobCancelled
from rdr_qdrant.ingest.executor import Execution
from rdr_qdrant.ingest.qdrant_sink import QdrantSink
from rdr_qdrant.ingest.ray.errors import ray_get
from rdr_qdrant.ingest.ray.ray_pipeline import RayPipeline
from rdr_qdrant.ingest.ray.runtime import (
    SECONDS_BETWEEN_CLUSTER_CHECKS,
    RaySession,
    count_possible_workers,
    import_ray,
)
from rdr_qdrant.ingest.ray.worker import EncoderActor, ServerAddress, WorkerOptions
from rdr_qdrant.passages import Passage
from rdr_qdrant.registry import PairIdentity
from rdr_qdrant.splitter import TokenCounting

SECONDS_TO_RELEASE = 5.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class RayExecutor:
    """Reads, embeds and writes in processes of a Ray cluster, or of this machine.

    Files of rows are read side by side by processes of this machine; streams, iterables and
    documents by this process. Workers embed and write, on any machine.

    The collection is the same, point for point, as without Ray, with one exception: of two records
    with one id of which the first is larger than Qdrant takes, the second is rejected as well.
    Points that a worker had written before it died count as unchanged. The API key travels to the
    workers in Ray's own messages (encrypted if Ray is set up with TLS), never in an environment, a
    command line or a log. Ray prints messages about processes that died to stdout.

    If the cluster loses all machines for workers, the job fails.

    A collection that limits the rate of writes gets one worker, since several would take each
    other's share of it.

    Args:
        embeddings: the pair; it is loaded by the workers, not by this process.
        url: of the Qdrant server, as every machine of the cluster reaches it.
        api_key: its key; by default the environment variable `QDRANT_API_KEY`.
        allow_key_over_http: see `connect`.
        address: of a running cluster, or `auto` for the one this machine belongs to. By default
            Ray is started on this machine, and ends with the executor.
        gpus: workers with a GPU each, on any machines; by default all GPUs of the cluster.
        workers: without GPUs (or with `gpus=0`), workers with a core each; by default one for each
            core.

    Attributes:
        reads_files: see `Executor`.
        embeddings: the encoder to give to the loader.

    Raises:
        RDRQdrantError: Ray is not installed, or the cluster does not answer.
        UsageError: the cluster has fewer GPUs or cores, or `url` has a password, a query or a
            fragment, or is a loopback address on a cluster of several machines.

    Example:
        >>> from rdr_qdrant import QdrantLoader, RDREmbeddings, connect
        >>> from rdr_qdrant.ingest.ray import RayExecutor
        >>> url = "http://localhost:6333"
        >>> with RayExecutor(RDREmbeddings(), url=url) as executor:  # doctest: +SKIP
        ...     loader = QdrantLoader(
        ...         embeddings=executor.embeddings,
        ...         client=connect(url),
        ...         collection_name="wiki",
        ...         executor=executor,
        ...     )
        ...     report = loader.load(passages)
    """

    reads_files = True

    def __init__(
        self,
        embeddings: RDREmbeddings,
        *,
        url: str,
        api_key: SecretStr | str | None = None,
        allow_key_over_http: str | None = None,
        address: str | None = None,
        gpus: int | None = None,
        workers: int | None = None,
    ) -> None:
        refuse_credentials_in(url)
        key = resolve_api_key(url, api_key, allow_key_over_http)
        self._server = ServerAddress(url, key, allow_key_over_http)
        self._pair = embeddings.model_dump()
        self._ray = import_ray()
        self._session = None if self._ray.is_initialized() else RaySession(self._ray, address)
        try:
            self._check_url(url)
            self._workers, self._resources = self._allocate(gpus, workers)
        except BaseException:
            self.close()
            raise
        actor = self._ray.remote(EncoderActor).options(
            **self._resources, max_restarts=3, max_task_retries=-1
        )
        self.embeddings = RemoteEncoder(
            embeddings.pair_label, lambda: actor.remote(self._pair), self._resources
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def execute(self, run: Execution) -> None:
        """See `Executor.execute`.

        Raises:
            UsageError: the sink is no Qdrant collection.
        """
        if not isinstance(run.sink, QdrantSink):
            raise UsageError("The Ray executor writes to a Qdrant server only; leave it out.")
        self.embeddings.release()
        target = run.sink.remote_target()
        options = WorkerOptions(
            pair=self._pair,
            fingerprint=run.fingerprint,
            server=self._server,
            target=target,
            workers=1 if target.points_per_minute else self._workers,
        )
        pipeline = RayPipeline(run, options, self._resources)
        try:
            for number in range(len(run.reader.partitions)):
                if not run.reader.is_read_elsewhere(number):
                    _submit_partition(run, pipeline, number)
            pipeline.join()
        except BaseException as error:
            pipeline.finish_in_flight(failed=not isinstance(error, JobCancelled))
            raise
        finally:
            pipeline.close()

    def close(self) -> None:
        """End Ray if it was started here, else release what this executor holds of it."""
        if self._session:
            self._session.close()
        elif encoder := getattr(self, "embeddings", None):
            encoder.release()

    def _check_url(self, url: str) -> None:
        alive = [node for node in self._ray.nodes() if node["Alive"]]
        machines = len({node["NodeManagerAddress"] for node in alive})
        if machines > 1 and (urlsplit(url).hostname or "") in LOOPBACK:
            raise UsageError(
                f"{url} means another machine on each of the {machines} machines of the cluster. "
                "Give the server's address as all of them reach it."
            )

    def _allocate(self, gpus: int | None, workers: int | None) -> tuple[int, dict[str, int]]:
        """The number of workers, and the resources of each."""
        if gpus and workers:
            raise UsageError("Give either gpus or workers, not both.")
        if gpus is None:
            gpus = 0 if workers else self._available("GPU", 1)
        resource, unit = ("GPU", "GPUs") if gpus else ("CPU", "cores")
        available = self._available(resource, gpus or workers or 1)
        wanted = gpus or workers or max(1, available)
        if wanted > available:
            total = int(self._ray.cluster_resources().get(resource, 0))
            raise UsageError(
                f"{wanted} {unit} requested, but the cluster has {total}, {available} of them free."
            )
        return wanted, {"num_gpus": 1, "num_cpus": 0} if gpus else {"num_cpus": 1}

    def _available(self, resource: str, wanted: int) -> int:
        """Free units of a resource; Ray may take a moment to count those just released."""
        deadline = time.monotonic() + SECONDS_TO_RELEASE
        total = int(self._ray.cluster_resources().get(resource, 0))
        while True:
            available = int(self._ray.available_resources().get(resource, 0))
            if available >= min(wanted, total) or time.monotonic() > deadline:
                return available
            time.sleep(0.1)


def _submit_partition(run: Execution, pipeline: RayPipeline, number: int) -> None:
    """Read a partition in this process, and hand its records on."""
    for batch in run.reader.batches(number):
        if batch.rejects:
            run.apply(BatchResult(rejects=batch.rejects))
        if batch.records:
            pipeline.submit(batch)
        if batch.error:
            pipeline.drain(number)
            raise batch.error
    pipeline.end_partition(number)


class RemoteEncoder:
    """A `PassageEncoder` in an actor with the resources of a worker.

    The job asks it for the pair's identity before the workers are started.

    Args:
        pair_label: name of the pair, or both ids.
        start: starts an `EncoderActor`; it takes the place of a worker until `release`.
        resources: of a worker.
    """

    def __init__(
        self, pair_label: str, start: Callable[[], Any], resources: Mapping[str, float]
    ) -> None:
        self.pair_label = pair_label
        self._start = start
        self._resources = resources
        self._actor: Any = None
        self._identities: dict[tuple[Side, ...], PairIdentity] = {}
        self._fingerprint: str | None = None

    def identity(self, *sides: Side) -> PairIdentity:
        """See `RDREmbeddings.identity`."""
        if sides not in self._identities:
            self._identities[sides] = self._call("identity", sides)
        return self._identities[sides]

    def fingerprint(self) -> str:
        """See `RDREmbeddings.fingerprint`."""
        if self._fingerprint is None:
            self._fingerprint = str(self._call("fingerprint"))
        return self._fingerprint

    def token_counter(self) -> TokenCounting:
        """See `RDREmbeddings.token_counter`."""
        return cast("TokenCounting", self._call("token_counter"))

    def passages_at_a_time(self) -> int:
        """See `RDREmbeddings.passages_at_a_time`."""
        return int(self._call("passages_at_a_time"))

    def encoding_threads(self) -> int:
        """One: a dry run encodes nothing, and the workers see to it themselves."""
        return 1

    def tokenize_passages(self, passages: Sequence[Passage]) -> Sequence[Passage]:
        """The passages unchanged: the actor tokenizes."""
        return passages

    def encode_batches(self, tokens: Sequence[Passage]) -> Iterator[EncodedBatch]:
        """Their vectors, by the actor."""
        yield from self._call("encode", tokens)

    def release(self) -> None:
        """Free the resources for a worker."""
        import ray

        if self._actor is not None:
            ray.kill(self._actor)
            self._actor = None

    def _call(self, method: str, *args: object) -> Any:
        """The value that a method of the actor returns.

        Raises:
            RDRQdrantError: raised by the actor.
            WorkerError: it cannot be started, or no machine is left for it.
        """
        import ray

        if self._actor is None:
            self._actor = self._start()
        reference = getattr(self._actor, method).remote(*args)
        while not ray.wait([reference], timeout=SECONDS_BETWEEN_CLUSTER_CHECKS)[0]:
            count_possible_workers(self._resources)
        return ray_get(reference)
