"""One process at a time: a lock on a folder that dies with its holder."""

import fcntl
import os
import time
from pathlib import Path

from rdr_qdrant.errors import StoreError

LOCK_FILE = ".embedded.lock"
PATIENCE = 0.4  # seconds; a process that was just killed lets go within them


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
            holder = os.pread(self.descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self.descriptor)
            raise StoreError(
                f"The folder {folder} is in use by process {holder}; "
                "close that client first, or run a Qdrant server to share the data."
            )
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, str(os.getpid()).encode(), 0)

    def _taken(self) -> bool:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError:
                if time.monotonic() > until:
                    return False
                time.sleep(0.02)

    def release(self) -> None:
        """Let go of the folder; a second call does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
