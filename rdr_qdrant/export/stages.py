"""Rows on their way into shards; each stage a value."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rdr_qdrant.collection.payload import canonical_json
from rdr_qdrant.export.manifest import Shard
from rdr_qdrant.export.partial_file import UnfinishedShard
from rdr_qdrant.ingest.diff import Item


@dataclass(frozen=True, slots=True)
class Window:
    """Items of one shard as the encoder takes them.

    Attributes:
        shard: to which they are added.
        first: rows of the shard before them.
        content: digest of the shard's content up to the last of them.
        closes: whether these are the last of the shard; then there may be none.
    """

    shard: UnfinishedShard
    first: int
    items: Sequence[Item]
    tokens: Any
    content: str
    closes: bool


@dataclass(frozen=True, slots=True)
class EncodedWindow:
    window: Window
    vectors: Any
    truncated: Sequence[bool]


@dataclass(frozen=True, slots=True)
class Written:
    passages: int
    finished: Shard | None


class OpenShard:
    """The shard that is being read: how many passages it has, and a digest of them.

    Args:
        number: of the shard.
        known: what it was when it was finished once.
        unfinished: what there is of it, or `None` where it is finished and whole.
    """

    def __init__(
        self, number: int, known: Shard | None, unfinished: UnfinishedShard | None
    ) -> None:
        self.number = number
        self.known = known
        self.unfinished = unfinished
        self.rows = 0
        self._digest = hashlib.sha256()

    def add(self, item: Item) -> None:
        row = item.row
        stands = [item.content_hash, item.metadata, row.source, row.line]
        self.rows += 1
        self._digest.update(canonical_json(stands).encode())

    def content(self) -> str:
        return self._digest.hexdigest()

    def differs(self) -> bool:
        """Whether it was finished once, of other rows."""
        if self.known is None:
            return False
        return (self.known.rows, self.known.content) != (self.rows, self.content())
