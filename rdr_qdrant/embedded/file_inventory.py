"""The files of a closed collection, recorded to notice later that some were lost or cut.

The engine drops a segment without a word if one of its files is missing, and takes a shortened id
table for a shorter collection. The record is written when a collection is closed and removed when
it is opened, so that a process that is killed leaves none: its log is replayed instead.
"""

import contextlib
import json
from pathlib import Path
from typing import Any

from rdr_qdrant.embedded.config_files import write_json
from rdr_qdrant.embedded.errors import EmbeddedQdrantError

INVENTORY_FILE = "files.json"
FORMAT = 1


def save_inventory(folder: Path, files_folder: Path, points: int) -> None:
    """Record the files below `files_folder` and the number of points in `folder`.

    On a full disk nothing is recorded.
    """
    content = {"format": FORMAT, "points": points, "files": _sizes(files_folder)}
    with contextlib.suppress(OSError):
        write_json(folder / INVENTORY_FILE, content)


def take_inventory(folder: Path, files_folder: Path) -> int | None:
    """Compare the files with the record and remove it.

    Returns:
        The number of points recorded; None if there is no record.

    Raises:
        EmbeddedQdrantError: files are missing or have another size; the record is kept.
    """
    record = _read(folder / INVENTORY_FILE)
    if record is None:
        return None
    sizes = _sizes(files_folder)
    damage = [
        f"{name} is missing" if name not in sizes else f"{name} has {sizes[name]} of {size} bytes"
        for name, size in record["files"].items()
        if sizes.get(name) != size
    ]
    if damage:
        more = f" and {len(damage) - 3} more" if len(damage) > 3 else ""
        raise EmbeddedQdrantError(
            f"files changed since it was closed: {'; '.join(damage[:3])}{more}"
        )
    (folder / INVENTORY_FILE).unlink()
    return int(record["points"])


def _sizes(folder: Path) -> dict[str, int]:
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {str(file.relative_to(folder)): file.stat().st_size for file in files}


def _read(file: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["format"] == FORMAT and {*record} >= {"points", "files"}:
            return dict(record)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None
