"""Starting or joining Ray from this process, without leaking the API key to its processes.

Only public parts of Ray are used, which has two costs. Ray prints a message about each process
that died to stdout (`--engine ray` sends it to stderr). And if Ray's own daemon on the driver's
machine dies, Ray ends the driver without a message of this package; the same command resumes.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rdr_qdrant.client.api_key import KEY_VARIABLE
from rdr_qdrant.errors import RDRQdrantError, install_hint


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


def start_ray(ray: Any, address: str | None) -> None:
    """Join the cluster, or start Ray on this machine.

    Raises:
        RDRQdrantError: the cluster does not answer, or Ray cannot be started.
        KeyboardInterrupt: SIGTERM or SIGINT came meanwhile.
    """
    local: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        with _keep_signal_handler(), _environment_of_ray():
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **local,
            )
    except SystemExit:  # Ray's answer to SIGTERM
        raise KeyboardInterrupt from None
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
        text = " ".join(str(error).split())
        if address:
            raise RDRQdrantError(
                f"Cannot reach the Ray cluster {address} ({text}). Start one by ray start --head, "
                "or leave out --address to run Ray on this machine."
            ) from None
        raise RDRQdrantError(
            f"Cannot start Ray on this machine ({text}). Its files are in RAY_TMPDIR."
        ) from None
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised in one line
    warnings.filterwarnings("ignore", message="The minimum number of concurrent actors")


@contextmanager
def _keep_signal_handler() -> Iterator[None]:
    """Ray sets its own SIGTERM handler; put back the one before."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


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
