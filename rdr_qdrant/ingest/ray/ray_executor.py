"""`RayEngine`: a load as a Ray Data pipeline, on a Ray cluster or in this machine.

Ray Data reads, streams, starts what died again and gives it the batches again that it had. What
this package adds is what a load promises:

- Rows in their order up to one process that lets the first of rows with one id through (`gate`).
- A stopped load finishes what is in flight: a dataset that is stopped drops it, so the load is
  stopped at its source and ends by itself (`board`).
- What was written, refused, cut or left as it was comes back as the rows of the dataset (`worker`).

Writing goes around `ray-qdrant` (0.1.1, Apache-2.0, Qdrant's own sink for Ray Data), and this is
where that does not keep what is promised here. Its code was read and its payloads were made:

- ids and payload: it keeps them where they come as Python objects. Metadata in columns of Arrow
  gets the keys of its neighbours as nulls. It would create a collection without our description.
- retries: five attempts within about 15 seconds, no Retry-After; here calls are made again for
  `retry_for` seconds, and the driver tells it meanwhile.
- a point larger than Qdrant takes ends the job; here it is set aside and named.
- skipping and verification: it writes every row, and tells nothing of what it wrote.
- the API key is plain text in the sink.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import SecretStr

from rdr_qdrant.client import resolve_api_key
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.encoding import EncodedBatch, Side
from rdr_qdrant.errors import UsageError
from rdr_qdrant.ingest.options import LoadSettings
from rdr_qdrant.ingest.partitions import Part
from rdr_qdrant.ingest.ray.errors import answer_of
from rdr_qdrant.ingest.ray.ray_pipeline import Flow
from rdr_qdrant.ingest.ray.runtime import imported_ray, start
from rdr_qdrant.ingest.ray.worker import Scout, Server, Target
from rdr_qdrant.passages import Passage
from rdr_qdrant.registry import PairIdentity

SECONDS_TO_SETTLE = 5.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class RayEngine:
    """Reads, encodes and writes in processes of a Ray cluster, or of this machine without one.

    Files of rows are read side by side, by processes of this machine; streams, iterables and
    documents by this process. Workers encode and write, wherever they are.

    The collection is the same, point for point, as without it; only, of two rows with one id of
    which the first is larger than Qdrant takes, the second is set aside as well. What a worker
    that died had written already is counted as unchanged. The API key travels to the workers in
    Ray's own messages (encrypted where Ray is set up with TLS), never in an environment, a command
    line or a log.

    Args:
        embeddings: the pair; it is loaded by the workers, not here.
        url: of the Qdrant server, as every machine of the cluster reaches it.
        api_key: its key; by default the environment variable `QDRANT_API_KEY`.
        allow_key_over_http: see `connect`.
        address: of a running cluster, or `auto` for the one this machine belongs to. By default
            Ray is started in this machine, and ends with the engine.
        gpus: workers with a GPU each, in whichever machines; by default all GPUs there are.
        workers: where there is no GPU (or `gpus=0`), workers with a core each; by default one for
            each core.

    Raises:
        RDRQdrantError: Ray is not installed, or the cluster is not there.
        UsageError: more GPUs or workers than the cluster has, or a `url` that means another
            machine on each of them.

    Example:
        >>> from rdr_qdrant import QdrantLoader, RDREmbeddings, connect
        >>> from rdr_qdrant.ingest.ray import RayEngine
        >>> url = "http://localhost:6333"
        >>> with RayEngine(RDREmbeddings(), url=url) as engine:  # doctest: +SKIP
        ...     loader = QdrantLoader(
        ...         embeddings=engine.embeddings,
        ...         client=connect(url),
        ...         collection_name="wiki",
        ...         engine=engine,
        ...     )
        ...     report = loader.load(passages)
    """

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
        self._server = Server(
            url, resolve_api_key(url, api_key, allow_key_over_http), allow_key_over_http
        )
        self._pair = embeddings.model_dump()
        self._ray = imported_ray()
        self._ours = not self._ray.is_initialized()
        if self._ours:
            start(self._ray, address)
        try:
            self._check_reach(url)
            self._workers, self._needs = self._share(gpus, workers)
        except BaseException:
            self.close()
            raise
        scout = self._ray.remote(Scout).options(**self._needs, max_restarts=3, max_task_retries=-1)
        self.embeddings = RemoteEncoder(lambda: scout.remote(self._pair))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def begin(
        self,
        settings: LoadSettings,
        collection_name: str,
        fingerprint: str,
        parts: Sequence[Part],
        check: Callable[[], None],
    ) -> Flow:
        """See `Engine.begin`."""
        target = Target(
            server=self._server,
            collection_name=collection_name,
            vector_name=settings.vector_name,
            retry_for=settings.retry_for,
            fingerprint=fingerprint,
            workers=self._workers,
        )
        self.embeddings.release()
        return Flow(parts, settings.batch_size, self._pair, target, self._needs, check)

    def close(self) -> None:
        """End Ray where it was started here, else what of it this engine holds."""
        if self._ours:
            self._ray.shutdown()
        elif encoder := getattr(self, "embeddings", None):
            encoder.release()

    def _check_reach(self, url: str) -> None:
        alive = [node for node in self._ray.nodes() if node["Alive"]]
        machines = len({node["NodeManagerAddress"] for node in alive})
        if machines > 1 and (urlsplit(url).hostname or "") in LOOPBACK:
            raise UsageError(
                f"{url} means another machine on each of the {machines} machines of the cluster. "
                "Give the server's address as all of them reach it."
            )

    def _share(self, gpus: int | None, workers: int | None) -> tuple[int, dict[str, int]]:
        """How many workers, and what each needs."""
        if gpus and workers:
            raise UsageError("Workers with a GPU and workers with a core cannot be mixed.")
        if gpus is None:
            gpus = 0 if workers else self._free("GPU", 1)
        resource, what = ("GPU", "GPUs") if gpus else ("CPU", "cores")
        free = self._free(resource, gpus or workers or 1)
        asked = gpus or workers or max(1, free)
        if asked > free:
            there = int(self._ray.cluster_resources().get(resource, 0))
            raise UsageError(
                f"{asked} {what} were asked for, but the cluster has {there}, {free} of them free."
            )
        return asked, {"num_gpus": 1, "num_cpus": 0} if gpus else {"num_cpus": 1}

    def _free(self, resource: str, wanted: int) -> int:
        """How many nobody uses; Ray may take a moment to know of those just given back."""
        until = time.monotonic() + SECONDS_TO_SETTLE
        all_there = int(self._ray.cluster_resources().get(resource, 0))
        while True:
            free = int(self._ray.available_resources().get(resource, 0))
            if free >= min(wanted, all_there) or time.monotonic() > until:
                return free
            time.sleep(0.1)


class RemoteEncoder:
    """An encoder where the workers will be: asked what it is before the load begins.

    Args:
        start: a `Scout`; it takes the place of a worker until it is released.
    """

    def __init__(self, start: Callable[[], Any]) -> None:
        self._start = start
        self._scout: Any = None
        self._identities: dict[tuple[Side, ...], PairIdentity] = {}
        self._fingerprint: str | None = None

    def identity(self, *sides: Side) -> PairIdentity:
        """See `RDREmbeddings.identity`."""
        if sides not in self._identities:
            self._identities[sides] = answer_of(self._there().identity.remote(sides))
        return self._identities[sides]

    def fingerprint(self) -> str:
        """See `RDREmbeddings.fingerprint`."""
        if self._fingerprint is None:
            self._fingerprint = str(answer_of(self._there().fingerprint.remote()))
        return self._fingerprint

    def tokenize_passages(self, passages: Sequence[Passage]) -> Sequence[Passage]:
        """The passages as they are: workers tokenise."""
        return passages

    def encode_batches(self, tokens: Sequence[Passage]) -> Iterator[EncodedBatch]:
        """Their vectors, by the scout."""
        vectors, truncated = answer_of(self._there().encode.remote(tokens))
        yield EncodedBatch(list(range(len(tokens))), vectors, list(truncated))

    def release(self) -> None:
        """Make room for a worker."""
        import ray

        if self._scout is not None:
            ray.kill(self._scout)
            self._scout = None

    def _there(self) -> Any:
        if self._scout is None:
            self._scout = self._start()
        return self._scout
