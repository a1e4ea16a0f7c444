"""One process at a time: a lock on a folder that dies with its holder."""

import fcntl
import os
import time
from pathlib import Path

from rdr_qdrant.errors import StoreError

LOCK_FILE = ".embedded.lock"
PATIENCE = 0.4
"""Seconds to wait for a holder that lives; it may be about to end."""
PATIENCE_WITH_THE_DEAD = 10.0
"""Seconds to wait for one that was killed: the system closes its files a while after its end."""


class FolderLock:
    """An exclusive hold on a folder, from construction to `release`.

    The operating system drops it when the process ends, however it ends: no stale locks. The
    file's text, the holder's process id, serves the message only. A child process that inherits
    `descriptor` holds the folder as well.

    Raises:
        StoreError: the folder is held, by another process or by another client in this one.
    """

    def __init__(self, folder: Path) -> None:
        self.descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not self._taken():
            holder = self._holder() or "unknown"
            os.close(self.descriptor)
            raise StoreError(
                f"The folder {folder} is in use by process {holder}; "
                "close that client first, or run a Qdrant server to share the data."
            )
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, str(os.getpid()).encode(), 0)

    def _taken(self) -> bool:
        started = time.monotonic()
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError:
                patience = PATIENCE_WITH_THE_DEAD if self._holder_is_dead() else PATIENCE
                if time.monotonic() > started + patience:
                    return False
                time.sleep(0.02)

    def _holder(self) -> str:
        return os.pread(self.descriptor, 32, 0).decode(errors="replace").strip()

    def _holder_is_dead(self) -> bool:
        holder = self._holder()
        return holder.isdecimal() and not _is_running(int(holder))

    def release(self) -> None:
        """Let go of the folder; a second call does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
