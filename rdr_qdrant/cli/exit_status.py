"""Exit statuses of every command."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REJECTED = 3
    """Done, but some rows were rejected."""
    INTERRUPTED = 130
