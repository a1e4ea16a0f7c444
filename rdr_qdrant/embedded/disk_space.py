"""Free disk space, checked before the engine needs it.

The engine writes through memory maps. On a full disk such a write does not fail: it kills the
process (SIGBUS). Acknowledged writes survive that too, but an error message is better.
"""

import os
from pathlib import Path

from rdr_qdrant.embedded.errors import EmbeddedQdrantError

# Kept free beyond the known size of a write: logs and storages grow in chunks of 32 MB.
RESERVE_BYTES = 2**26


def check_free_space(folder: Path, bytes_to_write: int, action: str) -> None:
    """Check that the disk holds `bytes_to_write` more bytes and the reserve.

    Raises:
        EmbeddedQdrantError: it does not; nothing was written. `action` names what was attempted.
    """
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        raise EmbeddedQdrantError(f"Could not {action}: {error}.") from error
    free, needed = disk.f_bavail * disk.f_frsize, bytes_to_write + RESERVE_BYTES
    if free < needed:
        raise EmbeddedQdrantError(
            f"Could not {action}: the disk of {folder} is nearly full ({free / 1e6:.0f} MB free, "
            f"{needed / 1e6:.0f} MB needed); free some space and repeat the call, "
            "what was acknowledged before is kept."
        )


def folder_bytes(folder: Path) -> int:
    """The disk space used by the files in `folder`, in bytes (holes not counted)."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
