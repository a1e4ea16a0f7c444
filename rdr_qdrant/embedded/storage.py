"""The folder that holds the collections, their aliases and the lock.

    FOLDER/embedded.json                  the engine's version, the aliases
    FOLDER/.embedded.lock                 held while a client has the folder open
    FOLDER/collections/NAME-DIGEST/collection.json    name, parameters, metadata, payload indexes
    FOLDER/collections/NAME-DIGEST/shard/             the engine's own files

A collection is created under a temporary name and renamed when complete, and renamed before it is
deleted: after a crash it is either complete or gone. Collection names are never used as paths: a
subfolder is called by the safe characters of the name and a digest of the whole.
"""

import hashlib
import os
import re
import shutil
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Self

from qdrant_client import models

from rdr_qdrant.embedded.config_files import (
    STORAGE_FILE,
    ShardConfig,
    StorageConfig,
    fsync_folder,
)
from rdr_qdrant.embedded.errors import (
    ClientClosedError,
    EmbeddedQdrantError,
    ForkedProcessError,
    translate_engine_errors,
)
from rdr_qdrant.embedded.folder_lock import FolderLock
from rdr_qdrant.embedded.fork_safety import abandon_when_forked
from rdr_qdrant.embedded.legacy_local import LegacyFolderError, is_local_mode
from rdr_qdrant.embedded.shard import CONFIG_FILE, Shard

COLLECTIONS = "collections"
ENGINE_PACKAGE = "qdrant-edge-py"

_FORBIDDEN_CHARACTERS = '<>:"/\\|?*\0\x1f'  # the server's rule for names, and qdrant-client's
_shared: dict[Path, "Storage"] = {}  # by resolved path
_shared_mutex = threading.RLock()
_CREATING, _DELETING = ".new-", ".gone-"  # prefixes of subfolders


class Storage:
    """An open folder of collections, locked against every other process until `close`."""

    def __init__(self, path: Path) -> None:
        """Open `path`. Shards are opened on first use.

        A folder that does not exist is created with its first collection, so that a mistyped path
        leaves no trace.

        Raises:
            EmbeddedQdrantError: it is a file, in use, of another engine version, damaged, or it
                was written by qdrant-client's local mode.
        """
        self.path = path
        self._process_id = os.getpid()
        self._mutex = threading.RLock()
        self._shards: dict[str, Shard] = {}
        self._config = StorageConfig(f"{ENGINE_PACKAGE} {version(ENGINE_PACKAGE)}")
        self._lock: FolderLock | None = None
        self._closed = False
        self._users = 0
        abandon_when_forked(self)
        existing = next(p for p in (path, *path.absolute().parents) if p.exists())
        if not existing.is_dir():
            raise EmbeddedQdrantError(
                f"{existing} is a file, not a folder; name a folder for the collections."
            )
        if is_local_mode(path):
            raise LegacyFolderError(path)
        if (path / STORAGE_FILE).exists():
            self._open()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open `path`, or share it with the clients of this process that have it open.

        Each call must be matched by one of `release`. Raises as the constructor.
        """
        key = path.resolve()
        with _shared_mutex:
            storage = _shared.get(key)
            if not isinstance(storage, cls) or storage._process_id != os.getpid():
                storage = _shared[key] = cls(path)
            storage._users += 1
            return storage

    def release(self) -> None:
        """Close the folder if no other client of this process uses it."""
        if self._process_id != os.getpid():
            return
        with _shared_mutex:
            self._users -= 1
            if self._users > 0:
                return
            _shared.pop(self.path.resolve(), None)
            self.close()

    @property
    def engine(self) -> str:
        """The engine that wrote the folder, with its version."""
        return self._config.engine

    @property
    def aliases(self) -> dict[str, str]:
        """A copy of the aliases: collection names by alias."""
        self._check_usable()
        return dict(self._config.aliases)

    def names(self) -> list[str]:
        """The collections' names, sorted."""
        self._check_usable()
        with self._mutex:
            return sorted(self._shards)

    def shard(self, name: str) -> Shard:
        """The collection with that name or alias. Raises ValueError if there is none."""
        self._check_usable()
        with self._mutex:
            found = self._shards.get(self._config.aliases.get(name, name))
        if found is None:
            raise ValueError(f"Collection {name} not found")
        return found

    def create(self, name: str, params: models.CreateCollection) -> None:
        """Create an empty collection.

        Raises:
            ValueError: the name is taken or not allowed, or the parameters are wrong.
            EmbeddedQdrantError: the folder cannot be written; nothing is left behind.
        """
        self._check_usable()
        check_collection_name(name)
        with self._mutex:
            lock = self._open()
            if name in self._shards:
                raise ValueError(f"Collection {name} already exists")
            if name in self._config.aliases:
                raise ValueError(f"Alias {name} already exists")
            folder = self.path / COLLECTIONS / _subfolder_name(name)
            draft = folder.with_name(_CREATING + folder.name)
            config = ShardConfig(name, params)
            with translate_engine_errors(f"create the collection {name!r}"):
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir()
                try:
                    Shard.create(draft, config)
                    draft.rename(folder)
                except BaseException:
                    shutil.rmtree(draft, ignore_errors=True)
                    raise
                fsync_folder(folder.parent)
            self._shards[name] = Shard(folder, config, lock.descriptor)

    def delete(self, name: str) -> bool:
        """Delete a collection with its points and aliases; False if there was none."""
        self._check_usable()
        with self._mutex:
            shard = self._shards.pop(name, None)
            self._save_aliases({a: c for a, c in self._config.aliases.items() if c != name})
            if shard is None:
                return False
            shard.close_for_deletion()
            with translate_engine_errors(f"delete the collection {name!r}"):
                deleting = shard.folder.with_name(_DELETING + shard.folder.name)
                shutil.rmtree(deleting, ignore_errors=True)
                shard.folder.rename(deleting)
                fsync_folder(deleting.parent)
                shutil.rmtree(deleting)
            return True

    def change_aliases(self, operations: list[models.AliasOperations]) -> None:
        """Apply all operations, or none if one is wrong (ValueError)."""
        self._check_usable()
        with self._mutex:
            aliases = dict(self._config.aliases)
            for operation in operations:
                self._apply_alias_operation(aliases, operation)
            self._save_aliases(aliases)

    def close(self) -> None:
        """Flush and close all collections and release the folder; a second call does nothing.

        A forked process closes nothing: the folder is the parent's.
        """
        if self._process_id != os.getpid():
            return
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            try:
                for shard in self._shards.values():
                    shard.close()
            finally:
                if self._lock is not None:
                    self._lock.release()

    def abandon(self) -> None:
        """Leave the folder to the parent, in a forked process."""
        for shard in self._shards.values():
            shard.abandon()
        if self._lock is not None:
            self._lock.abandon()

    def _open(self) -> FolderLock:
        """Lock the folder, creating it if there is none, and read its config files; once."""
        if self._lock is not None:
            return self._lock
        with translate_engine_errors(f"open the folder {self.path}"):
            (self.path / COLLECTIONS).mkdir(parents=True, exist_ok=True)
            lock = FolderLock(self.path)
        try:
            self._config = self._load_config()
            self._load_shards(lock)
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        return lock

    def _save_aliases(self, aliases: dict[str, str]) -> None:
        if aliases == self._config.aliases:
            return
        config = StorageConfig(self._config.engine, aliases)
        with translate_engine_errors("save the aliases"):
            config.save(self.path / STORAGE_FILE)
        self._config = config

    def _apply_alias_operation(
        self, aliases: dict[str, str], operation: models.AliasOperations
    ) -> None:
        match operation:
            case models.CreateAliasOperation(create_alias=new):
                if new.collection_name not in self._shards:
                    raise ValueError(f"Collection {new.collection_name} not found")
                self._check_not_a_collection(new.alias_name)
                aliases[new.alias_name] = new.collection_name
            case models.DeleteAliasOperation(delete_alias=old):
                aliases.pop(old.alias_name, None)
            case models.RenameAliasOperation(rename_alias=rename):
                self._check_not_a_collection(rename.new_alias_name)
                if rename.old_alias_name not in aliases:
                    raise ValueError(f"Alias {rename.old_alias_name} does not exist")
                aliases[rename.new_alias_name] = aliases.pop(rename.old_alias_name)
            case _:
                raise ValueError(f"Unknown operation: {operation}")

    def _check_not_a_collection(self, alias: str) -> None:
        if alias in self._shards:
            raise ValueError(f"Collection {alias} already exists")

    def _check_usable(self) -> None:
        if self._process_id != os.getpid():
            raise ForkedProcessError(
                f"This client of the folder {self.path} was opened by process {self._process_id} "
                f"and cannot be used in process {os.getpid()}, which was forked from it; connect "
                "in the process that uses it (one at a time), or run a Qdrant server."
            )
        if self._closed:
            raise ClientClosedError("This client is closed; open a new one.")
        if self._lock is None and (self.path / STORAGE_FILE).exists():
            with self._mutex:
                self._open()  # created by another process since

    def _load_config(self) -> StorageConfig:
        file, installed = self.path / STORAGE_FILE, version(ENGINE_PACKAGE)
        if not file.exists():
            config = StorageConfig(f"{ENGINE_PACKAGE} {installed}")
            with translate_engine_errors(f"open the folder {self.path}"):
                config.save(file)
            return config
        config = StorageConfig.load(file)
        package, _, written = config.engine.partition(" ")
        if package != ENGINE_PACKAGE or _minor_version(written) != _minor_version(installed):
            raise EmbeddedQdrantError(
                f"The folder {self.path} was written by {config.engine}, installed is "
                f"{ENGINE_PACKAGE} {installed}; install {package}=={written}, or copy the "
                "collections to a server with it and back. Nothing was changed."
            )
        return config

    def _load_shards(self, lock: FolderLock) -> None:
        for folder in sorted((self.path / COLLECTIONS).iterdir()):
            if folder.name.startswith((_CREATING, _DELETING)):
                shutil.rmtree(folder, ignore_errors=True)
            elif folder.is_dir():
                config = ShardConfig.load(folder / CONFIG_FILE)
                self._shards[config.name] = Shard(folder, config, lock.descriptor)


def check_collection_name(name: str) -> None:
    """Raise ValueError for a collection name that the server does not allow either."""
    for character in _FORBIDDEN_CHARACTERS:
        if character in name:
            raise ValueError(f"Collection name cannot contain {character!r} char")
    if name in ("", ".", ".."):
        raise ValueError(f"Collection name cannot be {name!r}")
    if len(name) > 255:
        raise ValueError("Collection name must be at most 255 characters long")


def _forget_shared() -> None:
    """Start without shared folders in a forked process, where the mutex may be held for ever."""
    global _shared_mutex
    _shared_mutex = threading.RLock()
    _shared.clear()


os.register_at_fork(after_in_child=_forget_shared)


def _subfolder_name(name: str) -> str:
    safe = re.sub(r"[^a-z0-9_]+", "_", name.lower())[:40]
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _minor_version(full: str) -> list[str]:
    return full.split(".")[:2]
