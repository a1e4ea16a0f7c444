"""Which documents a folder holds, and what else is in it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from rdr_qdrant.readers.documents.formats import kind_of

LONGEST_SUFFIX = 16
"""What follows the last dot of a name and is longer is no extension."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds, its folders included; hidden files and folders are left out.

    Attributes:
        files: documents, path (relative, with slashes) and bytes, sorted by path.
        unreadable: folders that cannot be listed (relative, `.` the folder itself), and why.
        others: what is not read, counted by extension; symbolic links are among it.
    """

    files: list[tuple[str, int]] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)


def list_folder(folder: Path) -> Listing:
    """Look through a folder; no symbolic link is followed, inside it or out of it."""
    listing = Listing()
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        try:
            with os.scandir(folder / inside) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        _note(entry, f"{inside}{entry.name}", listing, waiting)
        except OSError as error:
            listing.unreadable[inside.rstrip("/") or "."] = str(error.strerror or error)
    listing.files.sort(key=lambda file: PurePosixPath(file[0]).parts)
    return listing


def _note(entry: os.DirEntry[str], path: str, listing: Listing, waiting: list[str]) -> None:
    if entry.is_symlink():
        listing.others["symbolic link"] += 1
    elif entry.is_dir(follow_symlinks=False):
        waiting.append(f"{path}/")
    elif not entry.is_file(follow_symlinks=False):
        listing.others["special file"] += 1
    elif kind_of(entry.name):
        listing.files.append((path, entry.stat(follow_symlinks=False).st_size))
    else:
        listing.others[_suffix(entry.name)] += 1


def _suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower().encode("utf-8", "replace").decode("utf-8")
    return suffix if 1 < len(suffix) <= LONGEST_SUFFIX else "no extension"
