"""Ray begins in this process: quietly, without our key, and leaving the command its signals."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rdr_qdrant.client.api_key import KEY_VARIABLE
from rdr_qdrant.errors import RDRQdrantError

logger = logging.getLogger(__name__)

BACKEND_LOG_LEVEL = "RAY_BACKEND_LOG_LEVEL"
DAEMONS = ("raylet", "gcs_server")


def imported_ray() -> Any:
    """Ray with Ray Data.

    Raises:
        RDRQdrantError: it is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise RDRQdrantError(
            "The engine ray needs Ray: pip install 'rdr-qdrant[ray]', on every machine of the "
            "cluster."
        ) from None
    return ray


def start(ray: Any, address: str | None) -> None:
    """Join the cluster, or start one here.

    Raises:
        RDRQdrantError: it is not there, or cannot be started.
        KeyboardInterrupt: SIGTERM or SIGINT came meanwhile.
    """
    here: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        with _our_signals(), _environment(), _quiet_backend():
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **here,
            )
    except SystemExit:  # Ray's own way with SIGTERM
        raise KeyboardInterrupt from None
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
        text = " ".join(str(error).split())
        where = f"the Ray cluster {address}" if address else "Ray in this machine"
        raise RDRQdrantError(
            f"Cannot reach {where} ({text}). ray start --head starts a cluster; without --address "
            "Ray runs in this machine, with its files in RAY_TMPDIR."
        ) from None
    _quiet(ray)
    if not address:
        threading.Thread(target=_watch_daemons, args=(ray,), name="ray", daemon=True).start()


def _quiet(ray: Any) -> None:
    """What Ray does is shown by the load: counts, retries, and errors in a line."""
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="The minimum number of concurrent actors")
    worker = ray._private.worker
    if hasattr(worker, "print_to_stdstream"):  # of workers that died, to stdout
        worker.print_to_stdstream = lambda *_, **__: None


def _watch_daemons(ray: Any) -> None:
    """Ray ends a driver without a word where its daemons ended; say it before."""
    node = getattr(ray._private.worker, "_global_node", None)
    processes = getattr(node, "all_processes", {})
    found = [(name, one.process) for name in DAEMONS for one in processes.get(name, ())]
    while ray.is_initialized():
        for name, process in found:
            if process.poll() is not None and ray.is_initialized():
                logger.error(
                    "Ray's %s has ended, and Ray ends this command with it; what was written is "
                    "kept, and the same command goes on",
                    name,
                )
                return
        time.sleep(1.0)


@contextmanager
def _our_signals() -> Iterator[None]:
    """Ray sets its own handler of SIGTERM; afterwards it is again as it was."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _environment() -> Iterator[None]:
    """What Ray's processes inherit: no key of Qdrant's, which anybody on the machine could read."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    key = os.environ.pop(KEY_VARIABLE, None)
    try:
        yield
    finally:
        if key is not None:
            os.environ[KEY_VARIABLE] = key


@contextmanager
def _quiet_backend() -> Iterator[None]:
    """Ray's C++ part writes to this process's stderr by itself, of what is no error of the load.

    How much is read when it starts, which it tells as well. What Python raises comes through.
    """
    if BACKEND_LOG_LEVEL in os.environ:
        yield
        return
    os.environ[BACKEND_LOG_LEVEL] = "fatal"
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 (a device)
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        del os.environ[BACKEND_LOG_LEVEL]
