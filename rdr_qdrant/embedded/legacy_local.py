"""Folders that the client's own local mode (`QdrantClient(path=...)`) wrote."""

import json
import os
import warnings
from pathlib import Path

from qdrant_client import QdrantClient

from rdr_qdrant.embedded.engine_config import FOLDER_FILE
from rdr_qdrant.errors import StoreError

META_FILE = "meta.json"


def is_local_mode(folder: str | os.PathLike[str]) -> bool:
    """Whether `folder` was written by the client's local mode."""
    place = Path(folder)
    if not (place / META_FILE).is_file() or (place / FOLDER_FILE).exists():
        return False
    return (place / "collection").is_dir() or _holds_collections(place / META_FILE)


def refuse_local_mode(folder: Path) -> None:
    """Raise StoreError, with the way out, if `folder` was written by the client's local mode."""
    if is_local_mode(folder):
        raise StoreError(
            f"The folder {folder} was written by the Qdrant client's local mode. Move it over "
            f"with: rdr-qdrant copy --from {folder} --to NEW_FOLDER -c NAME, or name another "
            "folder. Nothing was changed."
        )


def open_local_mode(folder: str | os.PathLike[str]) -> QdrantClient:
    """The client's own local mode over its folder, to read it.

    Raises:
        StoreError: it is in use or damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of large collections: why we move
            return QdrantClient(path=os.fspath(folder))
    except Exception as error:  # sqlite, pickle and JSON raise many kinds
        reason = " ".join(str(error).split())
        raise StoreError(f"The folder {folder} cannot be read: {reason}") from error


def _holds_collections(meta_file: Path) -> bool:
    try:
        content = json.loads(meta_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "collections" in content
