"""The errors of this package, and the translation of the engine's failures into them."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

# Settings of a distributed server that cannot change the answer of a single process: accepted
# without effect. Any other parameter that a method does not declare is refused.
IGNORED_PARAMETERS = frozenset(
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

# Substrings of the engine's messages, which are all it tells about the kind of a failure.
_DISK_FULL = ("no space left", "os error 28", "outofspace", "disk quota", "not enough space")
_ENGINE_FAILURE = ("service runtime error", "service internal error", "panicked", "out of memory")
_MAX_MESSAGE_LENGTH = 400


class EmbeddedQdrantError(Exception):
    """Base class: the folder or the engine cannot be used."""


class NotSupportedError(EmbeddedQdrantError, NotImplementedError):
    """A method, parameter or kind of query that the embedded engine does not have."""


class ClientClosedError(EmbeddedQdrantError, RuntimeError):
    """A call on a closed client (qdrant-client's local mode raises RuntimeError here too)."""


def not_supported(what: str, instead: str = "use a Qdrant server for it") -> NotSupportedError:
    """Build the error for `what`, a method, parameter or query by its name in qdrant-client."""
    return NotSupportedError(f"EmbeddedQdrant does not support {what}; {instead}.")


def refuse_unsupported(method: str, parameters: Mapping[str, Any]) -> None:
    """Raise NotSupportedError for the first parameter that is set and could change an answer."""
    for name, value in parameters.items():
        if value is not None and name not in IGNORED_PARAMETERS:
            raise not_supported(f"`{name}` of {method}()", f"leave it out (got {value!r})")


@contextmanager
def translate_engine_errors(action: str) -> Iterator[None]:
    """Turn the engine's failures into ValueError (wrong request) or EmbeddedQdrantError.

    The engine raises plain `Exception`. In qdrant-client's local mode a wrong request is a
    ValueError and an update of a missing point a KeyError, so these are kept.

    Args:
        action: what was attempted, a verb phrase for the message ("write to the collection 'a'").
    """
    try:
        yield
    except (EmbeddedQdrantError, ValueError, KeyError):
        raise
    except OSError as error:
        raise _from_os_error(action, error) from error
    except Exception as error:
        raise _from_engine_error(action, error) from error


def one_line(error: BaseException) -> str:
    """The message of `error` on one line, without its final stop, cut to 400 characters."""
    text = " ".join(str(error).split()).rstrip(".")
    return text if len(text) <= _MAX_MESSAGE_LENGTH else text[:_MAX_MESSAGE_LENGTH] + "..."


def _from_os_error(action: str, error: OSError) -> EmbeddedQdrantError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _disk_full(action, error)
    return EmbeddedQdrantError(f"Could not {action}: {error}.")


def _disk_full(action: str, error: Exception) -> EmbeddedQdrantError:
    return EmbeddedQdrantError(
        f"Could not {action}: the disk is full; free some space and repeat the call, "
        f"what was acknowledged before is kept ({one_line(error)})."
    )


def _from_engine_error(action: str, error: Exception) -> Exception:
    text = one_line(error)
    lowered = text.lower()
    if any(sign in lowered for sign in _DISK_FULL):
        return _disk_full(action, error)
    if type(error) is not Exception and not isinstance(error, TypeError):
        return EmbeddedQdrantError(f"Could not {action}: {text}.")
    if lowered.startswith("no point with id"):
        return KeyError(text)
    if any(sign in lowered for sign in _ENGINE_FAILURE):
        return EmbeddedQdrantError(f"Could not {action}: {text}.")
    return ValueError(f"Wrong input: {text}")
