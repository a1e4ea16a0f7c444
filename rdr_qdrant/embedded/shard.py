"""One collection: an engine's shard and the settings file beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import qdrant_edge as edge

from rdr_qdrant.embedded.convert.edge_config import to_engine_config
from rdr_qdrant.embedded.disk_space import check_space, folder_bytes
from rdr_qdrant.embedded.engine_config import CollectionSettings
from rdr_qdrant.embedded.errors import StoreClosedError, engine_errors
from rdr_qdrant.embedded.rwlock import SharedOrAlone
from rdr_qdrant.errors import StoreError

SETTINGS_FILE = "collection.json"
SHARD_FOLDER = "shard"

# An update is in the write-ahead log when `update` returns, and survives the process being
# killed. What a killed process had not flushed is replayed when the shard is opened, at about
# 100 MB/s; flushing this often (in numbers written, 4 bytes each) keeps that under half a second.
FLUSH_EVERY = 8_000_000

NEW_SHARD_BYTES = 2**27  # what an empty shard's files take: logs, one chunk of each storage

# The engine's optimize() holds the interpreter's lock to its end: no thread, no progress, no
# Ctrl-C for minutes. So it runs in a process of its own, which may be killed like any other, and
# which Linux kills when this one dies (prctl 1, PR_SET_PDEATHSIG).
_OPTIMIZE = """
import ctypes, json, sys, qdrant_edge
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
shard = qdrant_edge.EdgeShard.load(sys.argv[1])
done = shard.optimize()
shard.close()
print(json.dumps(done))
"""
_TICK = 0.2  # seconds between two calls of a progress callback

Progress = Callable[[float], None]


class Collection:
    """A shard that opens on first use. Safe to use from many threads.

    Reads and updates share the shard (the engine orders its updates itself); reopening it with
    other settings, building its index and closing it wait until they have it alone.
    """

    def __init__(self, folder: Path, settings: CollectionSettings, lock: int) -> None:
        self.folder = folder
        self.settings = settings
        self._lock = lock  # the folder's, held by the process that builds the index as well
        self._shard: edge.EdgeShard | None = None
        self._access = SharedOrAlone()
        self._unflushed = 0
        self._closed = False

    @staticmethod
    def create(folder: Path, settings: CollectionSettings) -> None:
        """Make an empty collection in `folder`, which must exist and be empty.

        Raises:
            ValueError: the engine finds the configuration wrong.
            NotSupportedError: the engine does not know a setting.
            StoreError: the folder cannot be written.
        """
        check_space(folder, NEW_SHARD_BYTES, f"create the collection {settings.name!r}")
        with engine_errors(f"create the collection {settings.name!r}"):
            config = to_engine_config(settings.config)
            (folder / SHARD_FOLDER).mkdir()
            edge.EdgeShard.create(str(folder / SHARD_FOLDER), config).close()
            settings.save(folder / SETTINGS_FILE)

    @property
    def name(self) -> str:
        """The collection's name."""
        return self.settings.name

    @contextmanager
    def shard(self, doing: str) -> Iterator[edge.EdgeShard]:
        """The open shard, for a while, beside other threads.

        Raises:
            ValueError: the engine finds a request made inside wrong.
            StoreError: the engine fails; `doing` tells the user at what.
        """
        with self._access.shared():
            shard = self._shard
            if shard is not None:
                with engine_errors(f"{doing} in the collection {self.name!r}"):
                    yield shard
                return
        with self._access.alone():
            self._open()
        with self.shard(doing) as opened:
            yield opened

    def update(self, operation: edge.UpdateOperation, numbers: int = 0) -> None:
        """Apply `operation`, which carries about `numbers` vector components. Durable on return."""
        # Four bytes a number, in the log and in the storage.
        check_space(self.folder, 2 * 4 * numbers, f"write to the collection {self.name!r}")
        with self.shard("write") as shard:
            shard.update(operation)
            self._unflushed += numbers
            if self._unflushed >= FLUSH_EVERY:
                self._unflushed = 0
                shard.flush()

    def save_settings(self, settings: CollectionSettings) -> None:
        """Put `settings` in place of the present ones, in the file first."""
        with engine_errors(f"save the settings of the collection {self.name!r}"):
            settings.save(self.folder / SETTINGS_FILE)
        self.settings = settings

    def reconfigure(self, settings: CollectionSettings) -> None:
        """Reopen the shard with other settings; existing segments change on the next build_index.

        Raises:
            ValueError: the engine refuses the settings; the old ones stay.
        """
        with self._access.alone(), engine_errors(f"change the collection {self.name!r}"):
            self._check_open()
            config = to_engine_config(settings.config)
            self._release()
            self._shard = edge.EdgeShard.load(str(self.folder / SHARD_FOLDER), config)
            self.save_settings(settings)

    def build_index(self, progress: Progress | None = None) -> bool:
        """Run the engine's optimizers to the end; searches and writes wait meanwhile.

        Args:
            progress: called a few times a second with the seconds since the start.

        Returns:
            Whether there was anything to do.

        Raises:
            StoreError: the engine failed; the points are as they were.
        """
        with self._access.alone():
            self._check_open()
            self._release()
            shard = self.folder / SHARD_FOLDER
            check_space(shard, folder_bytes(shard), f"build the index of {self.name!r}")
            command = [sys.executable, "-c", _OPTIMIZE, str(shard)]
            with subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=(self._lock,),
            ) as process:
                try:
                    answer, complaint = _await(process, progress)
                except BaseException:
                    process.kill()
                    raise
            if process.returncode != 0:
                last = (complaint.strip().splitlines() or ["no message"])[-1]
                raise StoreError(
                    f"Could not build the index of the collection {self.name!r}: {last} (status "
                    f"{process.returncode}); the points are kept, search works without it."
                )
            return bool(json.loads(answer))

    def close(self) -> None:
        """Flush and close the shard; every later use raises StoreClosedError."""
        with self._access.alone():
            self._closed = True
            self._release()

    def _open(self) -> None:
        self._check_open()
        if self._shard is None:
            try:
                self._shard = edge.EdgeShard.load(str(self.folder / SHARD_FOLDER))
            except BaseException as error:  # a Rust panic is not an Exception
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                raise StoreError(
                    f"The collection {self.name!r} in {self.folder} cannot be opened "
                    f"({' '.join(str(error).split())[:300]}); restore that folder from a backup, "
                    "or move it away and load again. Nothing was changed."
                ) from error

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosedError(
                "This client is closed or the collection is gone; open a new client."
            )

    def _release(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None
            self._unflushed = 0


def _await(process: subprocess.Popen[str], progress: Progress | None) -> tuple[str, str]:
    started = time.monotonic()
    while True:
        try:
            return process.communicate(timeout=_TICK)
        except subprocess.TimeoutExpired:
            if progress is not None:
                progress(time.monotonic() - started)
