"""Errors of Ray and of its processes, as errors of this package in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rdr_qdrant.errors import RDRQdrantError


class WorkerError(RDRQdrantError):
    """A process of the cluster failed, or could not be restarted."""


@contextmanager
def wrap_worker_errors() -> Iterator[None]:
    """In a worker: turn other exceptions into a `WorkerError`, which can always be pickled."""
    try:
        yield
    except RDRQdrantError:
        raise
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise WorkerError(f"A worker failed ({text}).") from None


def ray_get(reference: Any) -> Any:
    """The value of an object reference.

    Raises:
        RDRQdrantError: raised by the worker.
        WorkerError: the worker could not be started, or died and could not be restarted.
    """
    import ray

    try:
        return ray.get(reference)
    except Exception as error:
        raise to_rdr_error(error) from None


def to_rdr_error(error: Exception) -> Exception:
    """An error of Ray as an `RDRQdrantError`; any other error unchanged."""
    from ray.exceptions import RayActorError, RayError, RayTaskError

    cause: Any = error
    while isinstance(cause, RayTaskError):  # also an instance of its cause's type
        cause = cause.cause
    if isinstance(cause, RDRQdrantError):
        return cause
    if isinstance(cause, RayActorError):
        if getattr(cause, "actor_init_failed", False):
            return WorkerError(
                f"A worker cannot be started ({_lines(cause)[-1]}). Check that the same rdr-qdrant "
                "is installed on every machine of the cluster."
            )
        return WorkerError(
            f"A worker died and could not be restarted ({_lines(cause)[0]}). Check that there is "
            "enough memory for so many workers, and run the same command to resume."
        )
    if isinstance(error, RayError):
        return WorkerError(
            f"The Ray cluster failed ({_lines(cause)[0]}). Finished batches are kept; run the same "
            "command to resume."
        )
    return error


def _lines(error: BaseException) -> list[str]:
    return str(error).strip().splitlines() or [type(error).__name__]
