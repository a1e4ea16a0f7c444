"""The small JSON files beside the shards: the folder's own, and one for each collection."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qdrant_client import models

from rdr_qdrant.errors import StoreError

FOLDER_FILE = "embedded.json"
FORMAT = 1


@dataclass
class FolderSettings:
    """What holds for all collections: the engine that writes the folder, and the aliases."""

    engine: str
    aliases: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write to `path`, whole or not at all."""
        write_json(path, {"format": FORMAT, "engine": self.engine, "aliases": self.aliases})

    @staticmethod
    def read(path: Path) -> "FolderSettings":
        """The settings in `path`. Raises StoreError if it is damaged."""
        content = _read_json(path)
        try:
            return FolderSettings(str(content["engine"]), dict(content["aliases"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from error


@dataclass
class CollectionSettings:
    """A collection's name, configuration with metadata, and payload indexes as asked for."""

    name: str
    config: models.CreateCollection
    indexes: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write to `path`, whole or not at all."""
        config = self.config.model_dump(mode="json", exclude_none=True, exclude={"metadata"})
        content = {"format": FORMAT, "name": self.name, "config": config, "indexes": self.indexes}
        write_json(path, {**content, "metadata": self.config.metadata})

    @staticmethod
    def read(path: Path) -> "CollectionSettings":
        """The settings in `path`. Raises StoreError if it is damaged."""
        content = _read_json(path)
        try:
            config = models.CreateCollection(**content["config"], metadata=content["metadata"])
            return CollectionSettings(str(content["name"]), config, dict(content["indexes"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace `path` by `content`; after a crash it holds the old text or the new, never half.

    Raises:
        OSError: the disk is full or the folder read-only; the old file is untouched.
    """
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` (new, renamed, gone) survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not isinstance(content, dict):
        raise _damaged(path, "not a JSON object")
    if content.get("format") != FORMAT:
        raise StoreError(
            f"{path} has format {content.get('format')!r}, this version reads {FORMAT}; "
            "open it with the version of rdr-qdrant that wrote it."
        )
    return content


def _damaged(path: Path, reason: object) -> StoreError:
    return StoreError(
        f"The settings file {path} is damaged ({' '.join(str(reason).split())}); restore it from "
        "a backup, or move its folder away and load again. Nothing was changed."
    )
