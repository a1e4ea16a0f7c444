"""Forked processes leave an open folder to their parent.

A fork copies the engine's memory without its threads. Two engines would then write to the same
memory-mapped files, and even dropping the copy flushes it to disk. So a forked process neither
uses nor frees the engine, and closes the descriptors whose locks it would otherwise hold on after
the parent has closed the folder.
"""

import ctypes
import os
import weakref
from pathlib import Path
from typing import Protocol


class Abandonable(Protocol):
    """An object that a forked process must leave alone."""

    def abandon(self) -> None: ...


_open_in_this_process: "weakref.WeakSet[Abandonable]" = weakref.WeakSet()


def abandon_when_forked(resource: Abandonable) -> None:
    """Call `resource.abandon()` in every process forked while it exists."""
    _open_in_this_process.add(resource)


def keep_forever(thing: object) -> None:
    """Make sure that `thing` is never freed, not even when the interpreter ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def close_inherited_descriptors(path: Path) -> None:
    """Close every descriptor of this process that is open on `path`."""
    try:
        target = path.stat()
        descriptors = [int(name) for name in os.listdir("/dev/fd")]  # noqa: PTH208
    except OSError:
        return
    for descriptor in descriptors:
        try:
            if os.path.samestat(os.fstat(descriptor), target):
                os.close(descriptor)
        except OSError:  # the one that listed the directory is closed already
            continue


def _abandon_all() -> None:
    for resource in list(_open_in_this_process):
        resource.abandon()
    _open_in_this_process.clear()


os.register_at_fork(after_in_child=_abandon_all)
