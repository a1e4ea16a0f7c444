"""Ray's processes, as the system shows them."""

from __future__ import annotations

from pathlib import Path


def processes(what: str) -> list[int]:
    """Those of Ray's processes that run this operator now."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::") and what.encode() in title:
            found.append(int(process.name))
    return found
