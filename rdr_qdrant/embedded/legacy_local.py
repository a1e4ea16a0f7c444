"""Folders written by qdrant-client's own local mode (`QdrantClient(path=...)`)."""

import json
import os
import warnings
from pathlib import Path

from qdrant_client import QdrantClient

from rdr_qdrant.embedded.config_files import STORAGE_FILE
from rdr_qdrant.embedded.errors import EmbeddedQdrantError, one_line

META_FILE = "meta.json"


class LegacyFolderError(EmbeddedQdrantError):
    """A folder written by qdrant-client's local mode, opened as an embedded one.

    Attributes:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"The folder {folder} was written by the local mode of qdrant-client; open it with "
            "QdrantClient(path=...) and migrate() its collections to a client of another folder. "
            "Nothing was changed."
        )


def is_local_mode(folder: str | os.PathLike[str]) -> bool:
    """True if `folder` was written by qdrant-client's local mode."""
    folder = Path(folder)
    if not (folder / META_FILE).is_file() or (folder / STORAGE_FILE).exists():
        return False
    return (folder / "collection").is_dir() or _lists_collections(folder / META_FILE)


def open_local_mode(folder: str | os.PathLike[str]) -> QdrantClient:
    """Open a folder in qdrant-client's local mode, to read it.

    Raises:
        EmbeddedQdrantError: it is in use or damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # large collections are slow in local mode
            return QdrantClient(path=os.fspath(folder))
    except Exception as error:  # sqlite, pickle and JSON raise many kinds
        raise EmbeddedQdrantError(
            f"The folder {folder} cannot be read: {one_line(error)}."
        ) from error


def _lists_collections(meta_file: Path) -> bool:
    try:
        content = json.loads(meta_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "collections" in content
