"""What a folder has of an encoding, which its manifest tells the next one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import OutputError, UsageError
from rdr_qdrant.export.export_io import remove_parts, sha256_of
from rdr_qdrant.export.manifest import MANIFEST, Manifest, Origin, Shard, has_shards
from rdr_qdrant.export.partial_file import UnfinishedShard


def manifest_before(folder: Path) -> Manifest | None:
    """What was begun there, or `None` where the folder is empty.

    Raises:
        OutputError: it holds other things.
        SourceError: its manifest is missing, cannot be read or was altered.
    """
    if (folder / MANIFEST).exists() or has_shards(folder):
        return Manifest.read(folder)
    if any(not one.name.startswith(".") for one in folder.iterdir()):
        raise OutputError(f"{folder} holds other files. Name a folder of its own.")
    return None


def folder_counts(
    shards: Collection[Shard], unfinished: Collection[UnfinishedShard] = ()
) -> dict[str, int]:
    """Of an `EncodeReport`: what is in the folder."""
    return {
        "passages": sum(shard.rows for shard in shards),
        "truncated": sum(shard.truncated for shard in shards)
        + sum(one.kept_truncated for one in unfinished),
        "shards": len(shards),
        "unfinished": sum(one.kept for one in unfinished),
        "bytes": sum(shard.bytes for shard in shards),
    }


class Record:
    """The shards of a folder while one encoding has it.

    Args:
        folder: that is held.
        wanted: what this encoding is.
        before: see `manifest_before`.

    Attributes:
        manifest: as it was written last.
        shards: that are finished and whole.

    Raises:
        UsageError: the folder was begun in another way.
        OutputError: it cannot be written.
    """

    def __init__(self, folder: Path, wanted: Manifest, before: Manifest | None) -> None:
        self._folder = folder
        self.manifest = before or wanted
        self.shards: dict[int, Shard] = {}
        self._unfinished: dict[int, UnfinishedShard] = {}
        remove_parts(folder)
        if before is None:
            UnfinishedShard.remove_all(folder)
            wanted.write(folder)
            return
        _check_options(folder, wanted, before)
        self.shards = {one.number: one for one in before.shards if _is_whole(folder, one)}
        self._unfinished = UnfinishedShard.find_all(folder)
        for number in self._unfinished.keys() & self.shards.keys():
            self._unfinished.pop(number).remove()

    def known(self, number: int) -> Shard | None:
        """A shard that was finished once, be it whole or not."""
        return next((shard for shard in self.manifest.shards if shard.number == number), None)

    def unfinished(self, number: int) -> UnfinishedShard:
        """What there is of a shard that is not finished."""
        if number not in self._unfinished:
            self._unfinished[number] = UnfinishedShard(self._folder, number)
        return self._unfinished[number]

    def finish(self, shard: Shard) -> None:
        """A shard is in its place."""
        self.shards[shard.number] = shard
        known = {one.number: one for one in self.manifest.shards}
        grown = shard.number not in known
        shards = known | {shard.number: shard}
        self._write(
            shards=tuple(one for _, one in sorted(shards.items())),
            **({"complete": False, "origins": (), "missing": 0} if grown else {}),
        )
        self.unfinished(shard.number).remove()  # not before: till here it was all there is of it
        del self._unfinished[shard.number]

    def complete(self, origins: Sequence[Origin], missing: int) -> None:
        """All is there."""
        self._write(complete=True, origins=tuple(origins), missing=missing)
        UnfinishedShard.remove_all(self._folder)

    def counts(self) -> dict[str, int]:
        """See `folder_counts`."""
        return folder_counts(self.shards.values(), self._unfinished.values())

    def _write(self, **changes: Any) -> None:
        self.manifest = replace(self.manifest, **changes)
        self.manifest.write(self._folder)


def _check_options(folder: Path, wanted: Manifest, before: Manifest) -> None:
    now, then = asdict(wanted.options), asdict(before.options)
    for name, value in now.items():
        if value == then[name]:
            continue
        if name == "fingerprint":
            what, instead = _encoders(before, wanted)
        else:
            what = f"with {name.replace('_', ' ')} {_shown(then[name])}"
            instead = _shown(value)
        raise UsageError(
            f"{folder} was begun {what}, not {instead}. Give the same again to go on, or "
            "name another folder."
        )


def _encoders(before: Manifest, wanted: Manifest) -> tuple[str, str]:
    then, now = before.identity, wanted.identity
    instead = f"{now.name} (max_length {now.max_length})"
    if then.name == now.name:
        instead += ", whose weights are others"
    return f"by {then.name} (max_length {then.max_length})", instead


def _is_whole(folder: Path, shard: Shard) -> bool:
    path = folder / shard.file
    try:
        return path.stat().st_size == shard.bytes and sha256_of(path) == shard.sha256
    except OSError:
        return False


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
