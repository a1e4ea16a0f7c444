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
_FORMULA_FAILURE = "process cancelled by service"
"""The engine's only message for a formula that it cannot evaluate for some point."""
_MAX_MESSAGE_LENGTH = 400


class EmbeddedQdrantError(Exception):
    """Base class: the folder or the engine cannot be used."""


class NotSupportedError(EmbeddedQdrantError, NotImplementedError):
    """A method, parameter or kind of query that the embedded engine does not have."""


class ForkedProcessError(EmbeddedQdrantError, RuntimeError):
    """A call in a process that was forked from the one that opened the folder."""


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
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except Exception as error:
        raise _from_engine_error(action, error) from error
    except BaseException as error:  # a Rust panic is not an Exception
        raise EmbeddedQdrantError(
            f"Could not {action}: the engine failed ({one_line(error)})."
        ) from error


@contextmanager
def translate_input_errors() -> Iterator[None]:
    """Turn the errors of values that the engine's types cannot hold into ValueError."""
    try:
        yield
    except (TypeError, OverflowError) as error:
        raise ValueError(f"Wrong input: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """The message of `error` on one line, without its final stop, cut to 400 characters."""
    text = " ".join(str(error).split()).rstrip(".")
    return text if len(text) <= _MAX_MESSAGE_LENGTH else text[:_MAX_MESSAGE_LENGTH] + "..."


def _from_os_error(action: str, error: OSError) -> EmbeddedQdrantError:
    if is_disk_full(error):
        return disk_full(action, error)
    return EmbeddedQdrantError(f"Could not {action}: {error}.")


def is_disk_full(error: BaseException) -> bool:
    """True if the engine or the system reports a full disk."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(sign in str(error).lower() for sign in _DISK_FULL)


def disk_full(action: str, error: BaseException) -> EmbeddedQdrantError:
    """Build the error of a full disk, met when trying to `action`."""
    return EmbeddedQdrantError(
        f"Could not {action}: the disk is full; free some space and repeat the call, "
        f"what was acknowledged before is kept ({one_line(error)})."
    )


def _from_engine_error(action: str, error: Exception) -> Exception:
    text = one_line(error)
    lowered = text.lower()
    if is_disk_full(error):
        return disk_full(action, error)
    if _FORMULA_FAILURE in lowered:
        return ValueError(
            "Wrong input: the formula has no number for some point. Either a payload field that it "
            "names is missing there or no number (give it a value in `defaults`), or it divides by "
            "zero (set `by_zero_default`), or takes a root, logarithm or power that is not defined."
        )
    if type(error) is not Exception and not isinstance(error, TypeError | OverflowError):
        return EmbeddedQdrantError(f"Could not {action}: {text}.")
    if lowered.startswith("no point with id"):
        return KeyError(text)
    if any(sign in lowered for sign in _ENGINE_FAILURE):
        return EmbeddedQdrantError(f"Could not {action}: {text}.")
    return ValueError(f"Wrong input: {text}")
