"""A cache of what is known of an encoder without loading it: weights digest and probe vector.

Loading an encoder takes seconds, most of them for PyTorch. Whether a corpus is unchanged depends on
the encoder only through these two, and they stay valid for as long as its files are unchanged.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rdr_qdrant.atomic_io import open_atomically
from rdr_qdrant.encoding.checkpoint import Side
from rdr_qdrant.errors import OutputError

logger = logging.getLogger(__name__)

FORMAT_VERSION = 3
"""Increase it whenever an entry has other fields, or they are computed differently."""

CHECKPOINT_SUFFIXES = (".safetensors", ".bin", ".json", ".txt")


@dataclass(frozen=True, slots=True)
class CachedEncoder:
    """Results of an earlier load of an encoder.

    Attributes:
        weights_digest: see `Checkpoint.weights_digest`.
        device: device that it ran on.
        precision: precision that it ran in.
        probe: vector of the fixed passage or question that collections store.
    """

    weights_digest: str
    device: str
    precision: str
    probe: tuple[float, ...]


def cache_folder() -> Path:
    """Return the folder for files that this package can rebuild."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rdr-qdrant"


def cache_path(
    side: Side, source: str, *, revision: str | None, max_length: int, precision: str
) -> Path | None:
    """Return the path of an encoder's cache entry, whether or not it exists.

    Its name is a digest of the paths, sizes and times of the encoder's files, and of all else that
    its vectors depend on. `None` if the files are not on this machine.
    """
    folder = _checkpoint_folder(source, revision)
    if folder is None:
        return None
    key = [FORMAT_VERSION, side.value, max_length, precision, *_file_stats(folder)]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return cache_folder() / "encoders" / f"{name}.json"


def load_cached(path: Path | None) -> CachedEncoder | None:
    """Read a cache entry; `None` if there is none or it is damaged."""
    if path is None:
        return None
    try:
        entry = json.loads(path.read_text())
        return CachedEncoder(
            str(entry["weights_digest"]),
            str(entry["device"]),
            str(entry["precision"]),
            tuple(map(float, entry["probe"])),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save_cached(path: Path | None, entry: CachedEncoder) -> None:
    """Write a cache entry; if that fails, the next start is merely slower."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_atomically(path) as file:
            json.dump(asdict(entry), file)
    except (OSError, OutputError) as error:
        logger.debug("cannot write the encoder cache: %s", error)


def _checkpoint_folder(source: str, revision: str | None) -> Path | None:
    """Return the encoder's folder: `source` itself, or the snapshot in the Hugging Face cache."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    try:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(source, "config.json", revision=revision)).parent
    except Exception:  # the hub client raises many kinds
        return None


def _file_stats(folder: Path) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield each checkpoint file's real path, size, inode, and times of modification and change."""
    for file in sorted(folder.iterdir()):
        if file.suffix in CHECKPOINT_SUFFIXES and file.is_file():
            stat = file.stat()
            times = stat.st_mtime_ns, stat.st_ctime_ns
            yield str(file.resolve()), stat.st_size, stat.st_ino, *times
