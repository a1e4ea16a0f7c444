"""Room on the disk, looked for before the engine needs it.

The engine writes through memory maps. On a full disk such a write does not fail: it kills the
process (SIGBUS). What was acknowledged survives that too, but one clear line is better.
"""

import os
from pathlib import Path

from rdr_qdrant.errors import StoreError

# Kept free beyond what a write is known to need: logs and storages grow in chunks of 32 MB.
RESERVE_BYTES = 2**26


def check_space(folder: Path, coming: int, doing: str) -> None:
    """Raise StoreError unless `coming` bytes have room, and the reserve beside them.

    Raises:
        StoreError: they have not; nothing was written.
    """
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        raise StoreError(f"Could not {doing}: {error}.") from error
    free, wanted = disk.f_bavail * disk.f_frsize, coming + RESERVE_BYTES
    if free < wanted:
        raise StoreError(
            f"Could not {doing}: the disk of {folder} is nearly full ({free / 1e6:.0f} MB free, "
            f"{wanted / 1e6:.0f} MB needed); free some space and repeat the call, "
            "what was acknowledged before is kept."
        )


def folder_bytes(folder: Path) -> int:
    """What the files in `folder` take on the disk, in bytes (holes not counted)."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
