"""`RayEngine`: encoders in processes of a Ray cluster, each writing what it encoded.

What of Ray is used: its actors, which Ray starts where a GPU or a core is free, and again, with
the calls that they had, where one dies. Ray Data is not used, and `ray-qdrant` (0.1.1, Apache-2.0,
Qdrant's own sink for Ray Data) is not either, because neither keeps what a load promises here:

- A dataset is made of read tasks that can be run again, which is how it survives a lost worker.
  Our rows come in one order out of one pass (of two rows with one id the first wins, stdin is read
  once, documents are converted apart), and a dataset takes no iterator of the driver's.
- A dataset that is stopped drops what is in flight; a load finishes it.
- A sink tells nothing of its rows: no counts, no refused points, nothing to verify by.
- `ray-qdrant` makes five attempts within about 15 seconds and honours no Retry-After; here calls
  are made again for `retry_for` seconds. It fails the job at a point that is too large, where that
  one is set aside. It carries metadata through Arrow, which gives a row the keys of its neighbours
  as nulls, so that the payload is another. It keeps the API key as plain text.

So the driver reads, tells what is new, asks Qdrant, and counts, as on one machine; workers encode
and write with the very `Collection` that one machine uses. The driver holds two windows a worker.
"""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import SecretStr

from rdr_qdrant.distributed.windows import Windows, answer_of
from rdr_qdrant.distributed.worker import Server, Target, Worker, WorkerError
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.encoding import EncodedBatch, Side
from rdr_qdrant.errors import RDRQdrantError, UsageError
from rdr_qdrant.loader.settings import LoadSettings
from rdr_qdrant.loader.stages import Changed, Encoded, Written
from rdr_qdrant.models import PairIdentity
from rdr_qdrant.passages import Passage
from rdr_qdrant.store import key_for

__all__ = ["RayEngine", "WorkerError"]

RESTARTS = 100
"""How often a worker that died is started again, before the load fails."""
SECONDS_TO_SETTLE = 5.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class RayEngine:
    """Encodes and writes in processes of a Ray cluster, or of this machine where there is none.

    The collection is the same, point for point, as without it. The API key travels to the workers
    in Ray's own messages (encrypted where Ray is set up with TLS), never in an environment,
    a command line or a log.

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
        >>> from rdr_qdrant.distributed import RayEngine
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
        server = Server(url, key_for(url, api_key, allow_key_over_http), allow_key_over_http)
        self._ray = _ray()
        self._ours = not self._ray.is_initialized()
        if self._ours:
            self._start(address)
        try:
            self._check_reach(url)
            count, needs = self._share(gpus, workers)
            remote = self._ray.remote(Worker).options(
                **needs, max_restarts=RESTARTS, max_task_retries=-1, max_concurrency=4
            )
            pair = embeddings.model_dump()
            self.workers: Sequence[Any] = [remote.remote(pair, server) for _ in range(count)]
        except BaseException:
            self.close()
            raise
        self.embeddings = RemoteEncoder(self.workers[0])

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
        write: Callable[[Encoded | Changed], Written],
        check: Callable[[], None],
    ) -> Windows:
        """See `Engine.begin`."""

        load = secrets.token_hex(8)

        def target() -> Target:
            return Target(
                load,
                collection_name,
                settings.vector_name,
                settings.retry_for,
                self.embeddings.fingerprint(),
            )

        return Windows(self.workers, load, target, write, check)

    def close(self) -> None:
        """End the workers, and Ray where it was started here."""
        for worker in getattr(self, "workers", ()):
            self._ray.kill(worker)
        self.workers = ()
        if self._ours:
            self._ray.shutdown()

    def _start(self, address: str | None) -> None:
        """Join the cluster, or start one here."""
        import logging

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        here: dict[str, Any] = {} if address else {"include_dashboard": False}
        try:
            with _our_signals():
                self._ray.init(
                    address=address or "local",
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    **here,
                )
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            text = " ".join(str(error).split())
            where = f"the Ray cluster {address}" if address else "Ray in this machine"
            raise RDRQdrantError(
                f"Cannot reach {where} ({text}). ray start --head starts a cluster; without "
                "--address Ray runs in this machine."
            ) from None

    def _check_reach(self, url: str) -> None:
        machines = sum(bool(node["Alive"]) for node in self._ray.nodes())
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
    """A worker's encoder, where the loader wants one: asked what it is, and seldom to encode."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._fingerprint: str | None = None

    def identity(self, *sides: Side) -> PairIdentity:
        """See `RDREmbeddings.identity`."""
        found: PairIdentity = answer_of(self._worker.identity.remote(sides))
        return found

    def fingerprint(self) -> str:
        """See `RDREmbeddings.fingerprint`."""
        if self._fingerprint is None:
            self._fingerprint = str(answer_of(self._worker.fingerprint.remote()))
        return self._fingerprint

    def tokenize_passages(self, passages: Sequence[Passage]) -> Sequence[Passage]:
        """The passages as they are: workers tokenise."""
        return passages

    def encode_batches(self, tokens: Sequence[Passage]) -> Iterator[EncodedBatch]:
        """Their vectors, by one worker."""
        vectors, truncated = answer_of(self._worker.encode.remote(tokens))
        yield EncodedBatch(list(range(len(tokens))), vectors, list(truncated))


@contextmanager
def _our_signals() -> Iterator[None]:
    """Ray sets its own handler of SIGTERM; afterwards it is again as it was."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise RDRQdrantError(
            "The engine ray needs Ray: pip install 'rdr-qdrant[ray]', on every machine of the "
            "cluster."
        ) from None
    return ray
