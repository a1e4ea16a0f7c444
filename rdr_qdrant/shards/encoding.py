"""One encoding from its first row to its last shard; it goes on where one before ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from rdr_qdrant.errors import OutputError, SourceError, UsageError
from rdr_qdrant.loader.pipeline import Pipeline
from rdr_qdrant.loader.rows import Row, rows_of_sources
from rdr_qdrant.loader.seen import SeenPoints, Sighting
from rdr_qdrant.loader.stages import Item, item_of
from rdr_qdrant.loader.stopping import Stopped
from rdr_qdrant.models import PairIdentity
from rdr_qdrant.passages import Passage
from rdr_qdrant.readers import PassageSource, Reject
from rdr_qdrant.shards.files import held, remove_parts, sha256_of, writing
from rdr_qdrant.shards.manifest import MANIFEST, Manifest, Options, Origin, Shard, shard_name
from rdr_qdrant.shards.report import EncodeReport
from rdr_qdrant.shards.settings import EncodeSettings
from rdr_qdrant.shards.stages import EncodedWindow, OpenShard, Window, Written
from rdr_qdrant.shards.table import ShardRow, ShardWriter, need_pyarrow

DONE = ("encoded", "kept", "repeated", "rejected")
"""The counts in which every row is in the end, once."""


class Encoding:
    """One encoding with its counts."""

    def __init__(
        self, settings: EncodeSettings, sources: Sequence[PassageSource], split: int | None
    ) -> None:
        self._settings = settings
        self._stopping = settings.stopping
        self._folder = Path(settings.folder)
        self._sources = sources
        self._split = split
        self._started = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._origins: list[Origin] = []
        self._shards: dict[int, Shard] = {}
        self._window: list[Item] = []
        self._writer: ShardWriter | None = None
        self._unknown = self._finished = self._taken = self._told = 0

    def report(self) -> EncodeReport:
        """Encode everything, or up to where it is asked to stop."""
        need_pyarrow()
        interrupted = False
        with closing(SeenPoints()) as self._seen:
            batches = self._batches()
            try:
                first = next(batches, None)
                if first is None:
                    raise self._nothing()
                with writing(self._folder):
                    self._folder.mkdir(parents=True, exist_ok=True)
                with held(self._folder):
                    self._make_ready()
                    try:
                        self._encode(chain([first], batches))
                    finally:
                        if self._writer:
                            self._writer.drop()
            except Stopped:
                interrupted = True
        if not interrupted and not self._shards:
            raise self._nothing()
        counts = self._counts | {"encoded": self._finished}
        return self._report(counts | self._in_shards(), interrupted=interrupted)

    def _make_ready(self) -> None:
        """Begin the folder, or find out what is finished there."""
        settings = self._settings
        there = (self._folder / MANIFEST).exists()
        if not there and any(self._folder.glob(shard_name(0))):
            raise OutputError(f"{self._folder} has shards, but no {MANIFEST}. Name another folder.")
        if not there and any(not one.name.startswith(".") for one in self._folder.iterdir()):
            raise OutputError(f"{self._folder} holds other files. Name a folder of its own.")
        with self._stopping.breakable():
            identity = settings.embeddings.identity()
            options = Options(
                sources=tuple(source.name for source in self._sources),
                split=self._split,
                shard_size=settings.shard_size,
                vectors=settings.vectors,
                fingerprint=settings.embeddings.fingerprint(),
                precision=identity.precision,
            )
        self._manifest = Manifest(identity, options)
        if there:
            before = Manifest.read(self._folder)
            self._check_options(before.options, before.identity)
            self._manifest = replace(self._manifest, identity=before.identity)
            self._before = {shard.number: shard for shard in before.shards}
            self._shards = {
                number: shard for number, shard in self._before.items() if self._is_whole(shard)
            }
        else:
            self._before = {}
            self._manifest.write(self._folder)
        remove_parts(self._folder)

    def _check_options(self, before: Options, identity: PairIdentity) -> None:
        now, then = asdict(self._manifest.options), asdict(before)
        for name, value in now.items():
            if value == then[name]:
                continue
            if name == "fingerprint":
                theirs, ours = identity.name, self._manifest.identity.name
                what = f"by {theirs} (max_length {identity.max_length})"
                instead = f"{ours} (max_length {self._manifest.identity.max_length})"
                if theirs == ours:
                    instead += ", whose weights are others"
            else:
                what = f"with {name.replace('_', ' ')} {_shown(then[name])}"
                instead = _shown(value)
            raise UsageError(
                f"{self._folder} was begun {what}, not {instead}. Give the same again to go on, or "
                "name another folder."
            )

    def _is_whole(self, shard: Shard) -> bool:
        path = self._folder / shard.file
        try:
            return path.stat().st_size == shard.bytes and sha256_of(path) == shard.sha256
        except OSError:
            return False

    def _encode(self, batches: Iterable[list[Row]]) -> None:
        fingerprint = self._manifest.options.fingerprint
        self._open = OpenShard(0, self._shards.get(0))
        pipeline: Pipeline[Window, EncodedWindow, Written] = Pipeline(
            self._encode_window, self._write, writers=1, check=self._stopping.check
        )
        with pipeline as self._pipeline:
            try:
                for rows in batches:
                    for item in self._new_items(rows, fingerprint):
                        self._take_item(item)
                    self._tell_progress()
                if self._open.rows:
                    self._close_shard()
                self._take(self._pipeline.rest())
            except BaseException:
                self._take(self._pipeline.stop())
                raise
        if max(self._before, default=-1) >= len(self._shards):
            raise self._changed(f"they have {self._passages():,} passages now, fewer than then")
        self._save(complete=True)

    def _take_item(self, item: Item) -> None:
        if self._open.rows == self._settings.shard_size:
            self._close_shard()
            number = self._open.number + 1
            self._open = OpenShard(number, self._shards.get(number))
        elif len(self._window) == self._settings.batch_size:
            self._flush(None)
        self._open.add(item)
        self._note_origin(item)
        if self._open.known is None:
            self._window.append(item)

    def _close_shard(self) -> None:
        shard, known = self._open, self._open.known
        if known is None:
            self._flush(shard.content())
        elif (known.rows, known.content) == (shard.rows, shard.content()):
            self._counts["kept"] += shard.rows
        else:
            raise self._changed(f"{known.file} was made of other rows than they have now")

    def _flush(self, closes: str | None) -> None:
        items, self._window = self._window, []
        with self._stopping.breakable():
            passages = [item.row.passage for item in items]
            tokens = self._settings.embeddings.tokenize_passages(passages)
        window = Window(self._open.number, items, tokens, closes)
        self._take(self._pipeline.feed(window))

    def _encode_window(self, window: Window) -> Iterator[EncodedWindow]:
        """One batch of the whole window, so that its rows stay in their order."""
        dimension = self._manifest.identity.dimension
        vectors = np.empty((len(window.items), dimension), dtype=np.float32)
        truncated = [False] * len(window.items)
        for batch in self._settings.embeddings.encode_batches(window.tokens):
            vectors[batch.positions] = batch.vectors
            for position, cut in zip(batch.positions, batch.truncated, strict=True):
                truncated[position] = cut
        yield EncodedWindow(window, vectors, truncated)

    def _write(self, batch: EncodedWindow) -> Written:
        """In the one thread that writes: windows come in their order."""
        window, options = batch.window, self._manifest.options
        if self._writer is None:
            dimension = self._manifest.identity.dimension
            self._writer = ShardWriter(self._folder, window.shard, dimension, options.vectors)
        rows = [
            ShardRow(item.row.passage, item.content_hash, item.row.line) for item in window.items
        ]
        self._writer.write(rows, batch.vectors, batch.truncated)
        if window.closes is None:
            return Written(len(rows), None)
        finished = self._writer.finish(window.closes)
        self._writer = None
        return Written(len(rows), finished)

    def _take(self, results: Iterable[Written]) -> None:
        for result in results:
            self._counts["encoded"] += result.passages
            if result.finished:
                self._shards[result.finished.number] = result.finished
                self._finished += result.finished.rows
                self._save()
            self._tell_progress()

    def _save(self, *, complete: bool = False) -> None:
        shards = self._before | self._shards  # one that is to be made anew stays known till then
        self._manifest = replace(
            self._manifest,
            shards=tuple(shard for _, shard in sorted(shards.items())),
            complete=complete,
            origins=tuple(self._origins) if complete else (),
            missing=self._unknown if complete else 0,
        )
        self._manifest.write(self._folder)

    def _batches(self) -> Iterator[list[Row]]:
        rows = iter(
            rows_of_sources(self._sources, self._reject_row, self._split, "", _nothing_known)
        )
        while True:
            with self._stopping.breakable():
                batch = list(islice(rows, self._settings.batch_size))
            if not batch:
                return
            self._taken += len(batch)
            yield batch

    def _new_items(self, rows: Iterable[Row], fingerprint: str) -> Iterator[Item]:
        """The points of rows whose ids were not met before."""
        for row in rows:
            item = item_of(row, fingerprint)
            sighting = Sighting(item.content_digest(), row.source, row.line)
            first = self._seen.add(item.id, sighting)
            if first is None:
                yield item
            elif first.digest == sighting.digest:
                self._counts["repeated"] += 1
            else:
                self._reject(row.set_aside(first.why_not_again()))

    def _note_origin(self, item: Item) -> None:
        name = item.row.source
        if self._origins and self._origins[-1].name == name:
            self._origins[-1] = Origin(name, self._origins[-1].passages + 1)
        else:
            self._origins.append(Origin(name, 1))

    def _reject_row(self, row: Reject) -> None:
        self._taken += 1
        self._unknown += 1
        self._reject(row)

    def _reject(self, row: Reject) -> None:
        self._counts["rejected"] += 1
        if self._settings.on_reject:
            self._settings.on_reject(row)

    def _passages(self) -> int:
        return sum(shard.rows for shard in self._shards.values())

    def _in_shards(self) -> dict[str, int]:
        shards = self._shards.values()
        return {
            "passages": self._passages(),
            "truncated": sum(shard.truncated for shard in shards),
            "shards": len(shards),
            "bytes": sum(shard.bytes for shard in shards),
        }

    def _tell_progress(self) -> None:
        done = sum(self._counts[name] for name in DONE)
        if self._settings.on_progress and done > self._told:
            self._told = done
            report = self._report(self._counts, in_hand=self._taken - done)
            self._settings.on_progress(report)

    def _report(self, counts: Mapping[str, Any], **others: Any) -> EncodeReport:
        read = sum(counts.get(name, 0) for name in DONE)
        seconds = time.monotonic() - self._started
        return EncodeReport(str(self._folder), read=read, seconds=seconds, **counts, **others)

    def _changed(self, how: str) -> SourceError:
        names = ", ".join(source.name for source in self._sources)
        return SourceError(
            f"{names} changed since {self._folder} was begun: {how}. Encode into another folder; "
            "what is in this one is kept as it is."
        )

    def _nothing(self) -> SourceError:
        where = ", ".join(source.name for source in self._sources)
        if self._counts["rejected"]:
            return SourceError(
                f"None of the {self._counts['rejected']:,} rows and documents of {where} can be "
                "used: nothing was written."
            )
        return SourceError(f"{where} holds no passages: there is nothing to encode.")


def _nothing_known(path: str, shared: Mapping[str, Any]) -> Sequence[Passage] | None:
    """Every document is converted: no collection tells of them here."""
    return None


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
