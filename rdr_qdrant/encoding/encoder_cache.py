"""What is known of an encoder before it is loaded: notes of earlier loads, in the user's cache.

Loading an encoder takes seconds, most of them for PyTorch. Whether a corpus is unchanged depends on
the encoder only by the digest of its weights and its probe, and those are as they were for as long
as its files are.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rdr_qdrant.encoding.checkpoint import Side

logger = logging.getLogger(__name__)

RECORD = 2
"""Raised whenever the digest or the probe is made otherwise, so that no older note is taken."""

FILES_THAT_MATTER = (".safetensors", ".bin", ".json", ".txt")


@dataclass(frozen=True, slots=True)
class KnownEncoder:
    """What a load of an encoder found out.

    Attributes:
        weights_digest: see `Checkpoint.weights_digest`.
        precision: the one it ran in.
        probe: the vector of the fixed passage or question, as collections keep it.
    """

    weights_digest: str
    precision: str
    probe: tuple[float, ...]


def cache_folder() -> Path:
    """Where this package keeps what it can make again."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rdr-qdrant"


def note_of(
    side: Side, source: str, *, revision: str | None, max_length: int, precision: str
) -> Path | None:
    """Where the note of this encoder lies, be there one or not.

    Its name covers paths, sizes and times of change of the encoder's files, and whatever else its
    vectors depend on. `None` where the files are not at hand, which loading will say better.
    """
    folder = _folder_of(source, revision)
    if folder is None:
        return None
    facts = [RECORD, side.value, max_length, precision, *_states(folder)]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return cache_folder() / "encoders" / f"{name}.json"


def recall(note: Path | None) -> KnownEncoder | None:
    """What the note says, or `None` where there is none that can be read."""
    if note is None:
        return None
    try:
        found = json.loads(note.read_text())
        return KnownEncoder(
            str(found["weights_digest"]), str(found["precision"]), tuple(map(float, found["probe"]))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(note: Path | None, known: KnownEncoder) -> None:
    """Write the note, whole or not at all; where that cannot be, the next load takes longer."""
    if note is None:
        return
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=note.parent, prefix=".note-") as scratch:
            written = Path(scratch) / note.name
            written.write_text(json.dumps(asdict(known)))
            written.replace(note)
    except OSError as error:
        logger.debug("the note %s cannot be written: %s", note, error)


def _folder_of(source: str, revision: str | None) -> Path | None:
    """The folder with the encoder's files: as named, or the hub's own snapshot as it is now."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    try:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(source, "config.json", revision=revision)).parent
    except Exception:  # the hub raises many kinds
        return None


def _states(folder: Path) -> Iterator[tuple[str, int, int, int, int]]:
    """For each file its real path, size, number and times of change."""
    for file in sorted(folder.iterdir()):
        if file.suffix in FILES_THAT_MATTER and file.is_file():
            state = file.stat()
            times = state.st_mtime_ns, state.st_ctime_ns
            yield str(file.resolve()), state.st_size, state.st_ino, *times
