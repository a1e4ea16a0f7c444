"""Standard streams that are closed, full, or cannot encode what is printed."""

from __future__ import annotations

import io
import os
import sys
import traceback
from pathlib import Path

from rdr_qdrant.cli.stderr import print_message, replace_control_characters


def prepare_standard_streams() -> bool:
    """Make stdin, stdout and stderr safe to use; returns false if stdout is closed.

    A closed descriptor (`2>&-`) would be given to the next file that is opened, which native code
    that writes to stderr would then damage: the null device takes its place.
    """
    stdout_is_open = sys.stdout is not None
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    null = Path(os.devnull)
    sys.stdin = sys.stdin or null.open(encoding="utf-8")
    sys.stdout = sys.stdout or null.open("w", encoding="utf-8")
    sys.stderr = sys.stderr or null.open("w", encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return stdout_is_open


def flush_stdout() -> bool:
    """Write what is buffered; false, with a message, if it cannot be written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader left, which is no fault of ours
        discard_stdout()
        return False
    except OSError as error:
        discard_stdout()
        print_message(f"Error: cannot write to stdout: {error.strerror}.")
        return False
    return True


def discard_stdout() -> None:
    """Send what is still buffered to the null device, so that the interpreter exits quietly."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_traceback() -> None:
    """Print the traceback of the exception in hand, without control characters."""
    print(replace_control_characters(traceback.format_exc()), end="", file=sys.stderr)
