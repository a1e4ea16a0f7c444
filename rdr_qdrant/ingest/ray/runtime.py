"""Starting or joining Ray from this process, without leaking the API key to its processes.

Only public parts of Ray are used, which has two costs. Ray prints a message about each process
that died to stdout (`--engine ray` sends it to stderr). And if Ray's own daemon on the driver's
machine dies, Ray ends the driver without a message of this package; the same command resumes.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any

from rdr_qdrant.client.api_key import KEY_VARIABLE
from rdr_qdrant.errors import RDRQdrantError, install_hint
from rdr_qdrant.ingest.ray.errors import WorkerError

SECONDS_BETWEEN_CHECKS = 0.1
SECONDS_BETWEEN_CLUSTER_CHECKS = 10.0


def import_ray() -> Any:
    """Ray with Ray Data.

    Raises:
        RDRQdrantError: it is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise RDRQdrantError(
            f"The Ray executor needs Ray on every machine of the cluster: {install_hint('ray')}."
        ) from None
    return ray


class RaySession:
    """Ray as started here, or the connection to a cluster, until `close`.

    Ray starts in a thread of its own: so it sets no signal handlers, and a signal interrupts only
    the wait for it, not an import or a lock of Ray's. The thread stays until `close`, for on Linux
    Ray's processes end with the thread that started them (PR_SET_PDEATHSIG).
    """

    def __init__(self, ray: Any, address: str | None) -> None:
        """Join the cluster at `address`, or start Ray on this machine.

        Raises:
            RDRQdrantError: the cluster does not answer, or Ray cannot be started.
            KeyboardInterrupt: SIGTERM or SIGINT came meanwhile; Ray is shut down.
        """
        self._ray = ray
        self._thread = ThreadPoolExecutor(1, "ray")
        with _environment_of_ray():
            started = self._thread.submit(_init_ray, ray, address)
            try:
                while not started.done():
                    wait([started], timeout=SECONDS_BETWEEN_CHECKS)
            except KeyboardInterrupt:
                self.close()
                raise
        try:
            started.result()
        except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
            self.close()
            text = " ".join(str(error).split())
            if address:
                raise RDRQdrantError(
                    f"Cannot reach the Ray cluster {address} ({text}). Start one by "
                    "ray start --head, or leave out --address to run Ray on this machine."
                ) from None
            raise RDRQdrantError(
                f"Cannot start Ray on this machine ({text}). Its files are in RAY_TMPDIR."
            ) from None
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised in one line
        warnings.filterwarnings("ignore", message="The minimum number of concurrent actors")

    def close(self) -> None:
        """Shut Ray down, or leave the cluster. A second call does nothing."""
        with suppress(RuntimeError):  # closed before
            self._thread.submit(self._ray.shutdown)
        self._thread.shutdown()


def count_possible_workers(resources: Mapping[str, float]) -> int:
    """Workers that the machines of the cluster can run in all.

    Ray waits forever for a resource that the cluster has lost; a job does not.

    Args:
        resources: of a worker (`num_cpus`, `num_gpus`).

    Raises:
        WorkerError: no machine can run a worker any more.
    """
    import ray

    total: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    names = {"num_gpus": "GPU", "num_cpus": "CPU"}
    count, name = min(
        (int(total.get(names[option], 0) // needed), names[option])
        for option, needed in resources.items()
        if needed
    )
    if not count:
        raise WorkerError(
            f"No machine with a {name} for a worker is left in the Ray cluster. "
            "Finished batches are kept; add a machine, and run the same command to resume."
        )
    return count


def _init_ray(ray: Any, address: str | None) -> None:
    local: dict[str, Any] = {} if address else {"include_dashboard": False}
    ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)


@contextmanager
def _environment_of_ray() -> Iterator[None]:
    """The environment that Ray's processes inherit: anybody on the machine could read a key."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    key = os.environ.pop(KEY_VARIABLE, None)
    try:
        yield
    finally:
        if key is not None:
            os.environ[KEY_VARIABLE] = key
