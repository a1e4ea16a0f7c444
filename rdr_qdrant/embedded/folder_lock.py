"""An exclusive lock on a folder, released by the operating system when its holder dies."""

import os
from pathlib import Path
from typing import IO

import portalocker

from rdr_qdrant.embedded.errors import EmbeddedQdrantError

LOCK_FILE = ".embedded.lock"
LIVE_HOLDER_TIMEOUT = 0.4
"""Seconds to wait for a running holder, which may be about to close the folder."""
DEAD_HOLDER_TIMEOUT = 10.0
"""Seconds to wait for a killed holder: the system closes its files a while after its end."""
_CHECK_INTERVAL = 0.02


class FolderLock:
    """Holds a folder exclusively, from construction to `release`.

    The lock dies with the process, however that ends, so that there are no stale locks. The file
    holds the process id of the holder, for the error message only. A child process that inherits
    `descriptor` holds the folder as well.

    Raises:
        EmbeddedQdrantError: the folder is held by another process, or another client in this one.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / LOCK_FILE
        self._lock = portalocker.Lock(self._file, mode="a", check_interval=_CHECK_INTERVAL)
        file = self._acquire(folder)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self.descriptor = file.fileno()

    def release(self) -> None:
        """Release the folder; a second call does nothing."""
        self._lock.release()

    def _acquire(self, folder: Path) -> IO[str]:
        try:
            return self._lock.acquire(timeout=LIVE_HOLDER_TIMEOUT)
        except portalocker.AlreadyLocked:
            holder = self._holder()
        try:
            if holder.isdecimal() and not _is_running(int(holder)):
                return self._lock.acquire(timeout=DEAD_HOLDER_TIMEOUT)
        except portalocker.AlreadyLocked:
            pass
        raise EmbeddedQdrantError(
            f"The folder {folder} is in use by process {holder or 'unknown'}; "
            "close that client first, or run a Qdrant server to share the data."
        )

    def _holder(self) -> str:
        return self._file.read_text(encoding="utf-8", errors="replace").strip()[:32]


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
