"""`manifest.json`: the contents of a folder of shards."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rdr_qdrant.atomic_io import open_atomically
from rdr_qdrant.errors import OutputError, SourceError, UsageError
from rdr_qdrant.registry import PairIdentity
from rdr_qdrant.splitter import SplitRecord

MANIFEST = "manifest.json"
FORMAT = "rdr-qdrant shards"
VERSION = 1
VECTOR_TYPES = ("float32", "float16")

_AGAIN = "Copy it from another copy of this folder; where there is none, encode into a new folder."
_SHARD_NAME = re.compile(r"shard-([0-9]{5,9})\.parquet", re.ASCII)


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One Parquet file.

    Attributes:
        file: its name in the folder.
        rows: passages.
        bytes: its size.
        sha256: of its bytes (hex).
        content: SHA-256 (hex) over its passages, sources and lines, without the vectors.
        truncated: passages of which only the first `max_length` tokens were encoded.
        unstorable: positions of records, among those of the shard, that it does not hold, since
            their vectors are not finite. `content` covers them too.
    """

    file: str
    rows: int
    bytes: int
    sha256: str
    content: str
    truncated: int
    unstorable: tuple[int, ...] = ()

    @property
    def records(self) -> int:
        """Records that it was made of."""
        return self.rows + len(self.unstorable)

    @property
    def number(self) -> int:
        """Its position among the shards, from 0."""
        number = shard_number(self.file)
        if number is None:
            raise ValueError(f"{self.file!r} is no name of a shard")
        return number


def shard_name(number: int) -> str:
    """The file name of a shard."""
    return f"shard-{number:05}.parquet"


def shard_number(name: str) -> int | None:
    """The number in the file name of a shard, or `None` if it is another name."""
    found = _SHARD_NAME.fullmatch(name)
    return int(found[1]) if found else None


def has_shards(folder: Path) -> bool:
    """True if the folder has a file with the name of a shard."""
    return any(shard_number(path.name) is not None for path in folder.glob("shard-*.parquet"))


@dataclass(frozen=True, slots=True)
class Origin:
    """A source whose passages stand one after the other in the shards.

    Attributes:
        name: the name that the user gave it; the `source` of its passages.
        passages: how many.
    """

    name: str
    passages: int


@dataclass(frozen=True, slots=True)
class ShardOptions:
    """Options that must be the same for an encoding to be resumed.

    Attributes:
        sources: names of the sources, in their order.
        split: how texts are split, as `SplitRecord.to_json`.
        shard_size: most passages of a shard.
        vectors: `float32` or `float16`.
        fingerprint: see `RDREmbeddings.fingerprint`.
        precision: of the encoder.
    """

    sources: tuple[str, ...]
    split: Mapping[str, Any] | None
    shard_size: int
    vectors: str
    fingerprint: str
    precision: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of a folder of shards.

    Attributes:
        identity: of the pair that encoded it.
        options: how it was encoded.
        shards: finished shards, in their order.
        complete: true once all sources are encoded.
        origins: the sources that have passages, once complete.
        missing: rejected rows that are in no shard, so that nothing may be pruned, once complete.
    """

    identity: PairIdentity
    options: ShardOptions
    shards: tuple[ShardEntry, ...] = ()
    complete: bool = False
    origins: tuple[Origin, ...] = field(default=())
    missing: int = 0

    @property
    def passages(self) -> int:
        """Passages in all shards."""
        return sum(shard.rows for shard in self.shards)

    def write(self, folder: Path) -> None:
        """Write it into the folder, atomically.

        Raises:
            OutputError: it cannot be written.
        """
        plain: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "identity": self.identity.to_metadata(),
            "options": asdict(self.options),
            "complete": self.complete,
            "passages": self.passages,
            "missing": self.missing,
            "origins": [asdict(origin) for origin in self.origins],
            "shards": [_plain(shard) for shard in self.shards],
        }
        plain["checksum"] = _checksum(plain)
        with open_atomically(folder / MANIFEST) as file:
            json.dump(plain, file, indent=1, ensure_ascii=False)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read it from a folder.

        Raises:
            SourceError: it is missing, cannot be read, was altered, or a later version wrote it.
        """
        path = folder / MANIFEST
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise _missing(folder) from None
        except OSError as error:
            raise SourceError(f"Cannot read {path}: {error.strerror}.") from None
        except ValueError:
            raise _damaged(path) from None
        if isinstance(plain, Mapping) and plain.get("version", VERSION) != VERSION:
            raise SourceError(
                f"{path} has version {plain['version']}, but this rdr-qdrant reads version "
                f"{VERSION}. Use the rdr-qdrant that wrote it, or a later one."
            )
        try:
            return cls._from_json(plain)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _damaged(path) from None

    @classmethod
    def _from_json(cls, plain: Mapping[str, Any]) -> Manifest:
        without = {key: value for key, value in plain.items() if key != "checksum"}
        if plain["format"] != FORMAT or plain["checksum"] != _checksum(without):
            raise ValueError("another format or checksum")
        options = plain["options"]
        shards = tuple(
            ShardEntry(**{**shard, "unstorable": tuple(shard.get("unstorable", ()))})
            for shard in plain["shards"]
        )
        numbers = [shard.number for shard in shards]
        if numbers != sorted(set(numbers)):
            raise ValueError("shards out of order")
        if options["vectors"] not in VECTOR_TYPES:
            raise ValueError("unknown type of vectors")
        return cls(
            identity=PairIdentity.from_metadata(plain["identity"]),
            options=ShardOptions(**{**options, "sources": tuple(options["sources"])}),
            shards=shards,
            complete=plain["complete"] is True,
            origins=tuple(Origin(**origin) for origin in plain["origins"]),
            missing=int(plain["missing"]),
        )


def _plain(shard: ShardEntry) -> dict[str, Any]:
    """A shard as JSON; readers before 0.2 know no unstorable records."""
    plain = asdict(shard)
    if not shard.unstorable:
        del plain["unstorable"]
    return plain


def _checksum(plain: Mapping[str, Any]) -> str:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _missing(folder: Path) -> SourceError:
    if not has_shards(folder):
        return SourceError(f"{folder} has no {MANIFEST}. Name a folder that encode wrote.")
    return SourceError(
        f"{folder} has shards, but no {MANIFEST}, which says what they contain. {_AGAIN}"
    )


def _damaged(path: Path) -> SourceError:
    return SourceError(f"{path} is damaged or was altered: it is not as encode wrote it. {_AGAIN}")


def read_manifest_if_any(folder: Path) -> Manifest | None:
    """The manifest of a folder that an encoding was begun in, or `None` if the folder is empty.

    Raises:
        OutputError: the folder holds other files.
        SourceError: the manifest is missing, cannot be read or was altered.
    """
    if (folder / MANIFEST).exists() or has_shards(folder):
        return Manifest.read(folder)
    if any(not one.name.startswith(".") for one in folder.iterdir()):
        raise OutputError(f"{folder} holds other files. Name a folder of its own.")
    return None


def check_same_options(folder: Path, wanted: Manifest, found: Manifest) -> None:
    """Refuse to resume an encoding with other options.

    Raises:
        UsageError: naming the option and both values.
    """
    now, then = asdict(wanted.options), asdict(found.options)
    for name, value in now.items():
        if value == then[name]:
            continue
        if name == "fingerprint":
            begun, given = _encoders(found, wanted)
        elif name == "split":
            begun, given = _described(then[name]), _described(value)
        else:
            begun, given = f"with {name.replace('_', ' ')} {_shown(then[name])}", _shown(value)
        raise UsageError(
            f"{folder} was begun {begun}, not {given}. Give the same again to resume, or name "
            "another folder."
        )


def _encoders(found: Manifest, wanted: Manifest) -> tuple[str, str]:
    then, now = found.identity, wanted.identity
    given = f"{now.name} (max_length {now.max_length})"
    if then.name == now.name:
        given += ", whose weights differ"
    return f"by {then.name} (max_length {then.max_length})", given


def _described(split: Any) -> str:
    record = SplitRecord.from_json(split)
    if record is None:  # of a version before 0.2, which had blocks alone
        return f"with split {split}"
    return f"with {record}"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
