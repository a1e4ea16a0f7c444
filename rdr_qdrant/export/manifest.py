"""What a folder of shards says of itself: `manifest.json`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import SourceError
from rdr_qdrant.export.export_io import part_of, put_in_place, writing
from rdr_qdrant.registry import PairIdentity

MANIFEST = "manifest.json"
FORMAT = "rdr-qdrant shards"
VERSION = 1
VECTOR_TYPES = ("float32", "float16")

_AGAIN = "Copy it from another copy of this folder; where there is none, encode into a new folder."
_SHARD_NAME = re.compile(r"shard-([0-9]{5,9})\.parquet", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shard:
    """One Parquet file.

    Attributes:
        file: its name in the folder.
        rows: passages.
        bytes: its size.
        sha256: of its bytes (hex).
        content: SHA-256 (hex) over its passages and where they stand, without their vectors.
        truncated: passages of which only the first `max_length` tokens were encoded.
    """

    file: str
    rows: int
    bytes: int
    sha256: str
    content: str
    truncated: int

    @property
    def number(self) -> int:
        """Its place among the shards, from 0."""
        number = shard_number(self.file)
        if number is None:
            raise ValueError(f"{self.file!r} is no name of a shard")
        return number


def shard_name(number: int) -> str:
    """The file name of a shard."""
    return f"shard-{number:05}.parquet"


def shard_number(name: str) -> int | None:
    """The number of a shard of this file name, or `None` where it is no such name."""
    found = _SHARD_NAME.fullmatch(name)
    return int(found[1]) if found else None


def has_shards(folder: Path) -> bool:
    """Whether a file there is named as a shard is."""
    return any(shard_number(path.name) is not None for path in folder.glob("shard-*.parquet"))


@dataclass(frozen=True, slots=True)
class Origin:
    """A source whose passages stand one after the other in the shards.

    Attributes:
        name: what the user called it; what its passages have as `source`.
        passages: how many.
    """

    name: str
    passages: int


@dataclass(frozen=True, slots=True)
class Options:
    """What must stay as it is for an encoding to go on.

    Attributes:
        sources: names of the sources, in their order.
        split: words at which texts are cut, or `None`.
        shard_size: passages of a shard.
        vectors: `float32` or `float16`.
        fingerprint: see `RDREmbeddings.fingerprint`.
        precision: what the encoder runs in.
    """

    sources: tuple[str, ...]
    split: int | None
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
        shards: those that are finished, in their order.
        complete: whether that is all.
        origins: the sources that have passages, once complete.
        missing: rows that were set aside and whose ids are not known, once complete.
    """

    identity: PairIdentity
    options: Options
    shards: tuple[Shard, ...] = ()
    complete: bool = False
    origins: tuple[Origin, ...] = field(default=())
    missing: int = 0

    @property
    def passages(self) -> int:
        """In all shards."""
        return sum(shard.rows for shard in self.shards)

    def write(self, folder: Path) -> None:
        """Put it into the folder, whole.

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
            "shards": [asdict(shard) for shard in self.shards],
        }
        plain["checksum"] = _checksum(plain)
        path = folder / MANIFEST
        part = part_of(path)
        try:
            with writing(path):
                part.write_text(json.dumps(plain, indent=1, ensure_ascii=False), encoding="utf-8")
            put_in_place(part, path)
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """What the folder says of itself.

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
        shards = tuple(Shard(**shard) for shard in plain["shards"])
        numbers = [shard.number for shard in shards]
        if numbers != sorted(set(numbers)):
            raise ValueError("shards out of order")
        if options["vectors"] not in VECTOR_TYPES:
            raise ValueError("unknown type of vectors")
        return cls(
            identity=PairIdentity.from_metadata(plain["identity"]),
            options=Options(**{**options, "sources": tuple(options["sources"])}),
            shards=shards,
            complete=plain["complete"] is True,
            origins=tuple(Origin(**origin) for origin in plain["origins"]),
            missing=int(plain["missing"]),
        )


def _checksum(plain: Mapping[str, Any]) -> str:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _missing(folder: Path) -> SourceError:
    if not has_shards(folder):
        return SourceError(f"{folder} has no {MANIFEST}. Name a folder that encode wrote.")
    return SourceError(
        f"{folder} has shards, but no {MANIFEST}, without which nobody knows whose they are. "
        f"{_AGAIN}"
    )


def _damaged(path: Path) -> SourceError:
    return SourceError(f"{path} is damaged, or was altered: it is not as encode wrote it. {_AGAIN}")
