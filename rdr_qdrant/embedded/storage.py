"""The folder: the collections in it, their aliases, and who may have it open.

    FOLDER/embedded.json                  the engine's version, the aliases
    FOLDER/.embedded.lock                 held while a client has the folder open
    FOLDER/collections/NAME-DIGEST/collection.json    name, configuration, metadata, indexes
    FOLDER/collections/NAME-DIGEST/shard/             the engine's own files

A collection is made under a passing name and renamed when complete, and renamed away before it is
deleted: a crash leaves it whole or gone. Its name never is a path: the folder is called by the
name's harmless characters and a digest of the whole.
"""

import hashlib
import re
import shutil
import threading
from importlib.metadata import version
from pathlib import Path

from qdrant_client import models

from rdr_qdrant.embedded.engine_config import (
    FOLDER_FILE,
    CollectionSettings,
    FolderSettings,
    sync_folder,
)
from rdr_qdrant.embedded.errors import StoreClosedError, engine_errors
from rdr_qdrant.embedded.folder_lock import FolderLock
from rdr_qdrant.embedded.legacy_local import refuse_local_mode
from rdr_qdrant.embedded.shard import SETTINGS_FILE, Collection
from rdr_qdrant.errors import StoreError

COLLECTIONS = "collections"
ENGINE = "qdrant-edge-py"

_FORBIDDEN = '<>:"/\\|?*\0\x1f'  # the server's rule for names, and the client's
_NEW, _GONE = ".new-", ".gone-"


class Folder:
    """An open folder of collections, locked against every other client until `close`."""

    def __init__(self, path: Path) -> None:
        """Open `path`. No shard is read before it is needed.

        Where nothing is there yet, nothing is made before the first collection is: a mistake on
        the way leaves no trace.

        Raises:
            StoreError: it is a file, in use, of another engine version, damaged, or it was
                written by the client's local mode.
        """
        self.path = path
        self._guard = threading.RLock()
        self._collections: dict[str, Collection] = {}
        self._settings = FolderSettings(f"{ENGINE} {version(ENGINE)}")
        self._lock: FolderLock | None = None
        self._closed = False
        there = next(place for place in (path, *path.absolute().parents) if place.exists())
        if not there.is_dir():
            raise StoreError(f"{there} is a file, not a folder; name a folder for the collections.")
        refuse_local_mode(path)
        if (path / FOLDER_FILE).exists():
            self._take()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def engine(self) -> str:
        """The engine that wrote the folder, with its version."""
        return self._settings.engine

    @property
    def aliases(self) -> dict[str, str]:
        """A copy of the aliases: other names of collections."""
        self._check_open()
        return dict(self._settings.aliases)

    def names(self) -> list[str]:
        """The collections' names, in order."""
        self._check_open()
        with self._guard:
            return sorted(self._collections)

    def collection(self, name: str) -> Collection:
        """The collection of that name or alias. Raises ValueError if there is none."""
        self._check_open()
        with self._guard:
            found = self._collections.get(self._settings.aliases.get(name, name))
        if found is None:
            raise ValueError(f"Collection {name} not found")
        return found

    def create(self, name: str, config: models.CreateCollection) -> None:
        """Make an empty collection.

        Raises:
            ValueError: the name is taken or not allowed, or the configuration is wrong.
            StoreError: the folder cannot be written; nothing is left behind.
        """
        self._check_open()
        check_name(name)
        with self._guard:
            lock = self._take()
            if name in self._collections:
                raise ValueError(f"Collection {name} already exists")
            if name in self._settings.aliases:
                raise ValueError(f"Alias {name} already exists")
            place = self.path / COLLECTIONS / _folder_name(name)
            draft = place.with_name(_NEW + place.name)
            settings = CollectionSettings(name, config)
            with engine_errors(f"create the collection {name!r}"):
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir()
                try:
                    Collection.create(draft, settings)
                    draft.rename(place)
                except BaseException:
                    shutil.rmtree(draft, ignore_errors=True)
                    raise
                sync_folder(place.parent)
            self._collections[name] = Collection(place, settings, lock.descriptor)

    def delete(self, name: str) -> bool:
        """Delete a collection with its points and aliases; False if there was none."""
        self._check_open()
        with self._guard:
            collection = self._collections.pop(name, None)
            kept = {a: target for a, target in self._settings.aliases.items() if target != name}
            if kept != self._settings.aliases:
                self.set_aliases(kept)
            if collection is None:
                return False
            collection.close()
            with engine_errors(f"delete the collection {name!r}"):
                gone = collection.folder.with_name(_GONE + collection.folder.name)
                shutil.rmtree(gone, ignore_errors=True)
                collection.folder.rename(gone)
                sync_folder(gone.parent)
                shutil.rmtree(gone)
            return True

    def change_aliases(self, operations: list[models.AliasOperations]) -> None:
        """Apply all operations, or none if one is wrong (ValueError)."""
        self._check_open()
        with self._guard:
            aliases = dict(self._settings.aliases)
            for operation in operations:
                self._change_alias(aliases, operation)
            self.set_aliases(aliases)

    def set_aliases(self, aliases: dict[str, str]) -> None:
        """Put `aliases` in place of the present ones, in the file first."""
        if aliases == self._settings.aliases:
            return
        settings = FolderSettings(self._settings.engine, aliases)
        with engine_errors("save the aliases"):
            settings.save(self.path / FOLDER_FILE)
        self._settings = settings

    def close(self) -> None:
        """Flush and close all collections and let go of the folder; a second call does nothing."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            try:
                for collection in self._collections.values():
                    collection.close()
            finally:
                if self._lock is not None:
                    self._lock.release()

    def _take(self) -> FolderLock:
        """Lock the folder, making it if there is none, and read what is there; once."""
        if self._lock is not None:
            return self._lock
        with engine_errors(f"open the folder {self.path}"):
            (self.path / COLLECTIONS).mkdir(parents=True, exist_ok=True)
            lock = FolderLock(self.path)
        try:
            self._settings = self._read_settings()
            self._read_collections(lock)
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        return lock

    def _change_alias(self, aliases: dict[str, str], operation: models.AliasOperations) -> None:
        match operation:
            case models.CreateAliasOperation(create_alias=new):
                if new.collection_name not in self._collections:
                    raise ValueError(f"Collection {new.collection_name} not found")
                self._check_alias(new.alias_name)
                aliases[new.alias_name] = new.collection_name
            case models.DeleteAliasOperation(delete_alias=old):
                aliases.pop(old.alias_name, None)
            case models.RenameAliasOperation(rename_alias=change):
                self._check_alias(change.new_alias_name)
                if change.old_alias_name not in aliases:
                    raise ValueError(f"Alias {change.old_alias_name} does not exist")
                aliases[change.new_alias_name] = aliases.pop(change.old_alias_name)
            case _:
                raise ValueError(f"Unknown operation: {operation}")

    def _check_alias(self, alias: str) -> None:
        if alias in self._collections:
            raise ValueError(f"Collection {alias} already exists")

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosedError("This client is closed; open a new one.")

    def _read_settings(self) -> FolderSettings:
        file, installed = self.path / FOLDER_FILE, version(ENGINE)
        if not file.exists():
            settings = FolderSettings(f"{ENGINE} {installed}")
            with engine_errors(f"open the folder {self.path}"):
                settings.save(file)
            return settings
        settings = FolderSettings.read(file)
        name, _, written = settings.engine.partition(" ")
        if name != ENGINE or _minor(written) != _minor(installed):
            raise StoreError(
                f"The folder {self.path} was written by {settings.engine}, installed is "
                f"{ENGINE} {installed}; install {name}=={written}, or copy the collections "
                "to a server with it and back. Nothing was changed."
            )
        return settings

    def _read_collections(self, lock: FolderLock) -> None:
        for place in sorted((self.path / COLLECTIONS).iterdir()):
            if place.name.startswith((_NEW, _GONE)):
                shutil.rmtree(place, ignore_errors=True)
            elif place.is_dir():
                settings = CollectionSettings.read(place / SETTINGS_FILE)
                self._collections[settings.name] = Collection(place, settings, lock.descriptor)


def check_name(name: str) -> None:
    """Raise ValueError for a collection name that the server does not allow either."""
    for character in _FORBIDDEN:
        if character in name:
            raise ValueError(f"Collection name cannot contain {character!r} char")
    if name in ("", ".", ".."):
        raise ValueError(f"Collection name cannot be {name!r}")
    if len(name) > 255:
        raise ValueError("Collection name must be at most 255 characters long")


def _folder_name(name: str) -> str:
    readable = re.sub(r"[^a-z0-9_]+", "_", name.lower())[:40]
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _minor(written: str) -> list[str]:
    return written.split(".")[:2]
