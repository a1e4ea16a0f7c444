"""What Ray's processes answer, or why they do not, in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rdr_qdrant.errors import RDRQdrantError

T = TypeVar("T")


class WorkerError(RDRQdrantError):
    """A process of the cluster that failed, or that could not be started again."""


def telling(call: Callable[[], T]) -> T:
    """In a worker: errors of ours as they are; others as one line of text, which can travel."""
    try:
        return call()
    except RDRQdrantError:
        raise
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise WorkerError(f"A worker failed ({what}).") from None


def answer_of(call: Any) -> Any:
    """What a worker answers to a call.

    Raises:
        RDRQdrantError: what it raised.
        WorkerError: it could not be started, or died and could not be started again.
    """
    import ray

    try:
        return ray.get(call)
    except Exception as error:
        raise in_words(error) from None


def in_words(error: Exception) -> Exception:
    """An error of Ray's as one of ours; any other as it is."""
    from ray.exceptions import RayActorError, RayError, RayTaskError

    cause: Any = error
    while isinstance(cause, RayTaskError):  # which is of the kind of its cause as well
        cause = cause.cause
    if isinstance(cause, RDRQdrantError):
        return cause
    if isinstance(cause, RayActorError):
        if getattr(cause, "actor_init_failed", False):
            return WorkerError(
                f"A worker cannot be started ({_lines(cause)[-1]}). Is the same rdr-qdrant "
                "installed on every machine of the cluster?"
            )
        return WorkerError(
            f"A worker died and could not be started again ({_lines(cause)[0]}). Is there memory "
            "enough for so many? What was written is kept; the same command goes on."
        )
    if isinstance(error, RayError):
        return WorkerError(
            f"The Ray cluster failed ({_lines(cause)[0]}). What was written is kept; the same "
            "command goes on."
        )
    return error


def _lines(error: BaseException) -> list[str]:
    return str(error).strip().splitlines() or [type(error).__name__]
