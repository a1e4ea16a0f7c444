"""One collection: a shard of the engine and the settings file beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import qdrant_edge as edge

from rdr_qdrant.embedded.config_files import ShardConfig
from rdr_qdrant.embedded.convert.edge_config import to_engine_config
from rdr_qdrant.embedded.disk_space import check_free_space, folder_bytes
from rdr_qdrant.embedded.errors import (
    ClientClosedError,
    EmbeddedQdrantError,
    disk_full,
    is_disk_full,
    one_line,
    translate_engine_errors,
)
from rdr_qdrant.embedded.file_inventory import save_inventory, take_inventory
from rdr_qdrant.embedded.fork_safety import close_inherited_descriptors, keep_forever
from rdr_qdrant.embedded.rwlock import ReadWriteLock

CONFIG_FILE = "collection.json"
ENGINE_FOLDER = "shard"

# An update is in the write-ahead log when `update` returns, and survives the process being
# killed. Updates that a killed process had not flushed are replayed when the shard is opened, at
# about 100 MB/s; a flush after this many vector components (4 bytes each) keeps that under half a
# second.
FLUSH_AFTER_COMPONENTS = 8_000_000

NEW_SHARD_BYTES = 2**27  # files of an empty shard: logs, one chunk of each storage

# The engine's optimize() holds the interpreter lock to its end: no thread, no progress, no Ctrl-C
# for minutes. So it runs in a process of its own, which may be killed like any other, and which
# Linux kills when this one dies (prctl 1, PR_SET_PDEATHSIG).
_OPTIMIZE_SCRIPT = """
import ctypes, json, sys, qdrant_edge
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
shard = qdrant_edge.EdgeShard.load(sys.argv[1])
optimized = shard.optimize()
shard.close()
print(json.dumps(optimized))
"""
_SECONDS_BETWEEN_CALLBACKS = 0.2

ProgressCallback = Callable[[float], None]


class Shard:
    """A collection whose engine is opened on first use. Safe to use from many threads.

    Reads and updates share the engine, which orders its updates itself. Reopening it with other
    parameters, building its index and closing it wait until no other call is running.
    """

    def __init__(self, folder: Path, config: ShardConfig, lock_descriptor: int) -> None:
        self.folder = folder
        self.config = config
        # Of the storage folder's lock, which the process that builds the index holds as well.
        self._lock_descriptor = lock_descriptor
        self._engine: edge.EdgeShard | None = None
        self._access = ReadWriteLock()
        self._unflushed_components = 0
        self._closed = False
        self._deleted = False

    @staticmethod
    def create(folder: Path, config: ShardConfig) -> None:
        """Create an empty collection in `folder`, which must exist and be empty.

        Raises:
            ValueError: the engine rejects the parameters.
            NotSupportedError: the engine does not know a parameter.
            EmbeddedQdrantError: the folder cannot be written.
        """
        action = f"create the collection {config.name!r}"
        check_free_space(folder, NEW_SHARD_BYTES, action)
        with translate_engine_errors(action):
            engine_config = to_engine_config(config.params)
            (folder / ENGINE_FOLDER).mkdir()
            edge.EdgeShard.create(str(folder / ENGINE_FOLDER), engine_config).close()
            config.save(folder / CONFIG_FILE)

    @property
    def name(self) -> str:
        """The collection's name."""
        return self.config.name

    @contextmanager
    def engine(self, action: str) -> Iterator[edge.EdgeShard]:
        """Give access to the open engine, shared with other threads.

        Args:
            action: a verb for the error message ("query").

        Raises:
            ValueError: the engine rejects a request made inside.
            EmbeddedQdrantError: the engine fails.
        """
        with self._access.read():
            engine = self._engine
            if engine is not None:
                with translate_engine_errors(f"{action} in the collection {self.name!r}"):
                    yield engine
                return
        with self._access.write():
            self._open()
        with self.engine(action) as opened:
            yield opened

    def update(self, operation: edge.UpdateOperation, components: int = 0) -> None:
        """Apply `operation`, durably on return.

        Args:
            operation: an update of the engine.
            components: the number of vector components it carries, roughly.
        """
        with self.engine("write") as engine:
            # Four bytes a component, in the log and in the storage.
            check_free_space(
                self.folder, 2 * 4 * components, f"write to the collection {self.name!r}"
            )
            engine.update(operation)
            self._unflushed_components += components
            if self._unflushed_components >= FLUSH_AFTER_COMPONENTS:
                self._unflushed_components = 0
                engine.flush()

    @contextmanager
    def engine_alone(self, action: str) -> Iterator[edge.EdgeShard]:
        """Give access to the open engine, with no other call running."""
        with self._access.write():
            self._open()
            assert self._engine is not None
            with translate_engine_errors(f"{action} in the collection {self.name!r}"):
                yield self._engine

    def change_config(
        self, change: Callable[[ShardConfig], ShardConfig], reopen: bool = False
    ) -> None:
        """Replace the config by what `change` makes of it, in the file first.

        No other change of the config comes between.

        Args:
            change: the new config from the present one.
            reopen: open the engine again with the new parameters; `build_index` applies them to
                old segments.

        Raises:
            ValueError: the engine rejects the parameters; the old ones stay.
        """
        with self._access.write(), translate_engine_errors(f"change the collection {self.name!r}"):
            self._check_not_closed()
            config = change(self.config)
            if reopen:
                self._open()
                engine_config = to_engine_config(config.params)
                self._close_engine()
                self._engine = edge.EdgeShard.load(str(self.folder / ENGINE_FOLDER), engine_config)
            config.save(self.folder / CONFIG_FILE)
            self.config = config

    def disk_bytes(self) -> int:
        """The disk space used by its files, in bytes; holes are not counted."""
        with self._access.read(), translate_engine_errors(f"measure the folder {self.folder}"):
            self._check_not_closed()
            return folder_bytes(self.folder)

    def build_index(self, progress: ProgressCallback | None = None) -> bool:
        """Run the engine's optimizers to the end; searches and writes wait meanwhile.

        Args:
            progress: called a few times a second with the seconds since the start.

        Returns:
            True if anything was built, False if there was nothing to do.

        Raises:
            EmbeddedQdrantError: the engine failed; the points are as they were.
        """
        with self._access.write():
            self._open()
            self._close_engine()
            engine_folder = self.folder / ENGINE_FOLDER
            check_free_space(
                engine_folder, folder_bytes(engine_folder), f"build the index of {self.name!r}"
            )
            with subprocess.Popen(
                [sys.executable, "-c", _OPTIMIZE_SCRIPT, str(engine_folder)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=(self._lock_descriptor,),
            ) as process:
                try:
                    output, errors = _communicate(process, progress)
                except BaseException:
                    process.kill()
                    raise
            if process.returncode != 0:
                last_line = (errors.strip().splitlines() or ["no message"])[-1]
                raise EmbeddedQdrantError(
                    f"Could not build the index of the collection {self.name!r}: {last_line} "
                    f"(status {process.returncode}); the points are kept, search works without it."
                )
            return bool(json.loads(output))

    def close(self) -> None:
        """Flush and close the engine; every later use raises ClientClosedError."""
        with self._access.write():
            self._closed = True
            if self._engine is not None:
                points = self._engine.info().points_count
                self._close_engine()
                save_inventory(self.folder, self.folder / ENGINE_FOLDER, points)

    def close_for_deletion(self) -> None:
        """Close the engine; later uses, by calls that had begun, raise ValueError: not found."""
        self._deleted = True
        self.close()

    def abandon(self) -> None:
        """Leave the engine alone for good, in a forked process."""
        if self._engine is not None:
            keep_forever(self._engine)
            close_inherited_descriptors(self.folder / ENGINE_FOLDER / "wal")

    def _open(self) -> None:
        self._check_not_closed()
        if self._engine is None:
            try:
                points = take_inventory(self.folder, self.folder / ENGINE_FOLDER)
                engine = edge.EdgeShard.load(str(self.folder / ENGINE_FOLDER))
                found = engine.info().points_count
                if points is not None and found != points:
                    engine.close()
                    raise EmbeddedQdrantError(f"it has {found} of {points} points")
                self._engine = engine
            except BaseException as error:  # a Rust panic is not an Exception
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                if is_disk_full(error):
                    raise disk_full(f"open the collection {self.name!r}", error) from error
                raise EmbeddedQdrantError(
                    f"The collection {self.name!r} in {self.folder} cannot be opened "
                    f"({one_line(error)}); restore that folder from a backup, or move it away and "
                    "load again. Nothing was changed."
                ) from error

    def _check_not_closed(self) -> None:
        if self._deleted:
            raise ValueError(f"Collection {self.name} not found")
        if self._closed:
            raise ClientClosedError("This client is closed; open a new one.")

    def _close_engine(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None
            self._unflushed_components = 0


def _communicate(
    process: subprocess.Popen[str], progress: ProgressCallback | None
) -> tuple[str, str]:
    """Wait for the end of `process`; return its stdout and stderr."""
    started = time.monotonic()
    while True:
        try:
            return process.communicate(timeout=_SECONDS_BETWEEN_CALLBACKS)
        except subprocess.TimeoutExpired:
            if progress is not None:
                progress(time.monotonic() - started)
