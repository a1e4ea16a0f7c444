"""The JSON files beside the shards: one for the storage folder, one for each collection."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qdrant_client import models

from rdr_qdrant.embedded.errors import EmbeddedQdrantError, one_line

STORAGE_FILE = "embedded.json"
FORMAT = 1


@dataclass
class StorageConfig:
    """The engine that writes the folder, and the aliases of its collections."""

    engine: str
    aliases: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Replace the file `path` atomically."""
        write_json(path, {"format": FORMAT, "engine": self.engine, "aliases": self.aliases})

    @staticmethod
    def load(path: Path) -> "StorageConfig":
        """Read the file `path`. Raises EmbeddedQdrantError if it is damaged."""
        content = _read_json(path)
        try:
            return StorageConfig(str(content["engine"]), dict(content["aliases"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from error


@dataclass
class ShardConfig:
    """A collection's name, its parameters with metadata, and its payload indexes as requested."""

    name: str
    params: models.CreateCollection
    payload_indexes: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Replace the file `path` atomically."""
        content = {
            "format": FORMAT,
            "name": self.name,
            "config": self.params.model_dump(mode="json", exclude_none=True, exclude={"metadata"}),
            "indexes": self.payload_indexes,
            "metadata": self.params.metadata,
        }
        write_json(path, content)

    @staticmethod
    def load(path: Path) -> "ShardConfig":
        """Read the file `path`. Raises EmbeddedQdrantError if it is damaged."""
        content = _read_json(path)
        try:
            params = models.CreateCollection(**content["config"], metadata=content["metadata"])
            return ShardConfig(str(content["name"]), params, dict(content["indexes"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace `path` by `content`; after a crash it holds the old text or the new one.

    Raises:
        OSError: the disk is full or the folder read-only; the old file is untouched.
    """
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Make the entries of `folder` (new, renamed, removed) survive a power loss."""
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
        raise _damaged(path, ValueError("not a JSON object"))
    if content.get("format") != FORMAT:
        raise EmbeddedQdrantError(
            f"{path} has format {content.get('format')!r}, this version reads {FORMAT}; "
            "open it with the version of the package that wrote it."
        )
    return content


def _damaged(path: Path, error: Exception) -> EmbeddedQdrantError:
    return EmbeddedQdrantError(
        f"The settings file {path} is damaged ({one_line(error)}); restore it from a backup, or "
        "move its folder away and load again. Nothing was changed."
    )
