"""Processes of the Ray that a test has started."""

from __future__ import annotations

import os
from pathlib import Path


def processes(name: str, driver: int | None = None) -> list[int]:
    """Processes that run an operator or actor of this name; all of them for `""`.

    Args:
        name: part of its name.
        driver: the process that started Ray; by default this one.
    """
    parents = {}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes()
            status = (process / "stat").read_text()
        except OSError:  # it has ended meanwhile
            continue
        pid = int(process.name)
        parents[pid] = int(status.rpartition(")")[2].split()[1])
        if title.startswith(b"ray::") and name.encode() in title:
            found.append(pid)
    return [pid for pid in found if _descends(pid, driver or os.getpid(), parents)]


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid in parents and pid != ancestor:
        pid = parents[pid]
    return pid == ancestor
