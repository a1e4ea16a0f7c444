"""What the embedded store says no to, and how engine failures become errors a caller knows."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rdr_qdrant.errors import StoreError

# Settings of a distributed server that cannot change an answer given by one process: accepted,
# with no effect. Anything else that a method does not name itself is refused.
WITHOUT_EFFECT = frozenset(
    {
        "batch_size",
        "consistency",
        "grpc_grace",
        "max_retries",
        "method",
        "ordering",
        "parallel",
        "replication_factor",
        "shard_number",
        "timeout",
        "wait",
        "wal_config",
        "write_consistency_factor",
    }
)

_DISK_FULL = ("no space left", "os error 28", "outofspace", "disk quota", "not enough space")
_DAMAGE = ("service runtime error", "service internal error", "panicked", "out of memory")


class NotSupportedError(StoreError, NotImplementedError):
    """The embedded store has no such method, parameter or kind of query."""


class StoreClosedError(StoreError, RuntimeError):
    """The client was closed before this call (local mode raises RuntimeError here too)."""


def not_supported(what: str, instead: str = "use a Qdrant server for it") -> NotSupportedError:
    """The refusal of `what`, a method, parameter or query by its client's name."""
    return NotSupportedError(f"The embedded store does not support {what}; {instead}.")


def refuse_extras(method: str, extras: Mapping[str, Any]) -> None:
    """Raise NotSupportedError for the first extra that is set and could change an answer."""
    for name, value in extras.items():
        if value is not None and name not in WITHOUT_EFFECT:
            raise not_supported(f"`{name}` of {method}()", f"leave it out (got {value!r})")


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn the engine's failures into ValueError (a wrong request) or StoreError (all else).

    The engine raises plain `Exception`; in the client's local mode a wrong request is a
    ValueError and an update of a missing point a KeyError, so that is what they become here.
    """
    try:
        yield
    except (StoreError, ValueError, KeyError):
        raise
    except OSError as error:
        raise _os_failure(doing, error) from error
    except Exception as error:
        raise _translated(doing, error) from error


def _os_failure(doing: str, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _disk_full(doing, error)
    return StoreError(f"Could not {doing}: {error}.")


def _disk_full(doing: str, error: Exception) -> StoreError:
    return StoreError(
        f"Could not {doing}: the disk is full; free some space and repeat the call, "
        f"what was acknowledged before is kept ({_one_line(error)})."
    )


def _translated(doing: str, error: Exception) -> Exception:
    text = _one_line(error)
    lowered = text.lower()
    if any(sign in lowered for sign in _DISK_FULL):
        return _disk_full(doing, error)
    if type(error) is not Exception and not isinstance(error, TypeError):
        return StoreError(f"Could not {doing}: {text}.")
    if lowered.startswith("no point with id"):
        return KeyError(text)
    if any(sign in lowered for sign in _DAMAGE):
        return StoreError(f"Could not {doing}: {text}.")
    return ValueError(f"Wrong input: {text}")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text if len(text) <= 400 else text[:400] + "..."
