"""A folder of shards as sources of passages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from rdr_qdrant.errors import SourceError, UsageError
from rdr_qdrant.export.manifest import FORMAT, MANIFEST, Manifest, has_shards
from rdr_qdrant.export.parquet_io import check_shard, need_pyarrow, read_rows
from rdr_qdrant.export.precomputed import PrecomputedVectors
from rdr_qdrant.passages import Passage, content_hash
from rdr_qdrant.readers import PassageSource, Reject, RejectHandler
from rdr_qdrant.readers.file_io import is_folder
from rdr_qdrant.splitter import SplitRecord


def is_shard_folder(path: str | Path) -> bool:
    """True if `rdr-qdrant encode` wrote this folder, complete or not."""
    folder = Path(path)
    if not str(path) or not is_folder(folder):
        return False
    if has_shards(folder):
        return True
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


class ShardFolder:
    """A folder that `rdr-qdrant encode` wrote; the bytes of a shard are checked before it is read.

    Args:
        path: the folder.

    Attributes:
        path: the folder.
        manifest: its manifest.

    Raises:
        SourceError: encode did not write it, its manifest is damaged, or it is not complete.
        RDRQdrantError: pyarrow is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        need_pyarrow()
        self.path = Path(path)
        self.manifest = Manifest.read(self.path)
        if not self.manifest.complete:
            raise SourceError(
                f"{path} is not complete: {self.manifest.passages:,} passages are in its finished "
                "shards, then encode was interrupted. Run the same encode command again to resume."
            )
        self._ends = list(accumulate(shard.rows for shard in self.manifest.shards))
        if sum(origin.passages for origin in self.manifest.origins) != self.manifest.passages:
            raise SourceError(
                f"{path} has a manifest whose numbers do not add up. Run the same encode command "
                "again where it was made, or encode into a new folder."
            )
        self._checked: set[int] = set()

    def sources(self) -> list[PassageSource]:
        """The sources that were encoded, each under its own name and with its own lines."""
        origins = self.manifest.origins
        ends = accumulate(origin.passages for origin in origins)
        return [
            ShardSource(self, origin.name, end - origin.passages, end)
            for origin, end in zip(origins, ends, strict=True)
        ]

    def vectors(self) -> PrecomputedVectors:
        """The encoder for a loader: it gives the passages the vectors that they carry."""
        return PrecomputedVectors(self.manifest.identity, self.manifest.options.fingerprint)

    def rows(self, first: int, stop: int) -> Iterator[tuple[int, str, Passage]]:
        """Line, content hash and passage of the rows from `first` to before `stop`.

        Raises:
            SourceError: a shard is damaged; none of its rows is returned.
        """
        dimension, vectors = self.manifest.identity.dimension, self.manifest.options.vectors
        for number, (shard, end) in enumerate(zip(self.manifest.shards, self._ends, strict=True)):
            begin = end - shard.rows
            if begin >= stop or end <= first:
                continue
            path = self.path / shard.file
            if number not in self._checked:
                check_shard(path, shard)
                self._checked.add(number)
            for row in read_rows(path, dimension, vectors, first - begin, stop - begin):
                yield row.line, row.content_hash, row.passage


class ShardSource(PassageSource):
    """The passages of one source, out of the shards.

    A row whose content hash is not that of its title and text is rejected.
    """

    def __init__(self, folder: ShardFolder, name: str, first: int, stop: int) -> None:
        super().__init__(name, stop - first)
        self.rejected_upstream = folder.manifest.missing
        self.split = SplitRecord.from_json(folder.manifest.options.split) or SplitRecord()
        self._folder = folder
        self._first, self._stop = first, stop

    def enumerate_passages(self, reject: RejectHandler) -> Iterator[tuple[int, Passage]]:
        """The passages with their lines in the source that was encoded."""
        fingerprint = self._folder.manifest.options.fingerprint
        for line, encoded, passage in self._folder.rows(self._first, self._stop):
            self.records_read += 1
            if encoded == content_hash(passage, fingerprint):
                yield line, passage
            else:
                shown = {"id": passage.id, "title": passage.title, "text": passage.text}
                reason = "its content hash is not that of its title and text"
                reject(Reject(self.name, line, reason, shown))

    def fraction_read(self) -> float | None:
        """The share of passages read, 0 to 1."""
        return self.records_read / self.size

    def includes_file(self, path: Path) -> bool:
        """True if this file lies in the folder of the shards."""
        return path.resolve().parent == self._folder.path.resolve()


def vectors_of(folders: Sequence[ShardFolder]) -> PrecomputedVectors:
    """The encoder for the passages of all these folders.

    Raises:
        UsageError: they were encoded by different pairs.
    """
    first = folders[0].manifest
    for folder in folders[1:]:
        other = folder.manifest
        if other.options.fingerprint != first.options.fingerprint:
            raise UsageError(
                f"{folders[0].path} was encoded by {first.identity.name}, {folder.path} by "
                f"{other.identity.name}, or in another way (max_length, other weights): their "
                "vectors do not belong into one collection. Load each into its own."
            )
    return folders[0].vectors()
