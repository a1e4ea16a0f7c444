"""Folders that the client's own local mode (`QdrantClient(path=...)`) wrote."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdr_qdrant.errors import StoreError
from rdr_qdrant.store.embedded.settings import FOLDER_FILE

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

META_FILE = "meta.json"
_BATCH = 500

# (collection, points moved so far, points in it)
Moved = Callable[[str, int, int], None]


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
            f"with: rdr-qdrant copy --from {folder} --to NEW_FOLDER -c NAME (in Python: "
            "move_local_mode), or name another folder. Nothing was changed."
        )


def move_local_mode(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    progress: Moved | None = None,
) -> dict[str, int]:
    """Bring every collection of the local mode's folder `source` over into the folder `target`.

    Vectors, payload, metadata, configuration and aliases are taken as they are; `source` is only
    read. A run that was cut short is finished by another: points are upserted by id.

    Args:
        source: a folder written by `QdrantClient(path=...)`.
        target: another folder, new or of the embedded store.
        progress: called after each batch.

    Returns:
        How many points each collection has.

    Raises:
        StoreError: `source` is no such folder, is in use or damaged, or the same as `target`; or
            fewer points arrived than were there.
    """
    from rdr_qdrant.store.embedded.client import EmbeddedQdrant

    if not is_local_mode(source):
        raise StoreError(f"The folder {source} was not written by the client's local mode.")
    if Path(source).resolve() == Path(target).resolve():
        raise StoreError(f"Source and target are the same folder {source}; name a new target.")
    old = open_local_mode(source)
    try:
        with EmbeddedQdrant(target) as new:
            names = [described.name for described in old.get_collections().collections]
            counts = {name: _move_collection(old, new, name, progress) for name in names}
            _move_aliases(old, new)
            return counts
    finally:
        old.close()


def open_local_mode(source: str | os.PathLike[str]) -> "QdrantClient":
    """The client's own local mode over its folder, to read it.

    Raises:
        StoreError: it is in use or damaged.
    """
    import warnings

    from qdrant_client import QdrantClient

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of large collections: why we move
            return QdrantClient(path=os.fspath(source))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise StoreError(f"The folder {source} cannot be read: {reason}") from error


def _move_collection(
    old: "QdrantClient", new: "QdrantClient", name: str, progress: Moved | None
) -> int:
    from qdrant_client import models

    info = old.get_collection(name)
    if not new.collection_exists(name):
        new.create_collection(
            name,
            vectors_config=info.config.params.vectors,
            sparse_vectors_config=info.config.params.sparse_vectors,
            metadata=info.config.metadata,
        )
    total, moved, offset = old.count(name).count, 0, None
    while moved < total:
        records, offset = old.scroll(name, limit=_BATCH, offset=offset, with_vectors=True)
        points = [_as_point(models, record) for record in records]
        if points:
            new.upsert(name, points)
        moved += len(points)
        if progress is not None:
            progress(name, moved, total)
        if offset is None:
            break
    arrived = new.count(name).count
    if arrived < total:
        raise StoreError(
            f"Of {total} points of the collection {name!r} only {arrived} arrived; "
            "move it again into an empty folder."
        )
    return arrived


def _as_point(models: Any, record: Any) -> Any:
    return models.PointStruct.model_construct(
        id=record.id, vector=record.vector or {}, payload=record.payload
    )


def _move_aliases(old: "QdrantClient", new: "QdrantClient") -> None:
    from qdrant_client import models

    new.update_collection_aliases(
        [
            models.CreateAliasOperation(
                create_alias=models.CreateAlias(
                    collection_name=alias.collection_name, alias_name=alias.alias_name
                )
            )
            for alias in old.get_aliases().aliases
        ]
    )


def _holds_collections(meta_file: Path) -> bool:
    import json

    try:
        content = json.loads(meta_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "collections" in content
