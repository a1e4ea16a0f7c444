"""Rows on their way into shards; each stage a value."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rdr_qdrant.collection.payload import canonical_json
from rdr_qdrant.loader.stages import Item
from rdr_qdrant.shards.manifest import Shard


@dataclass(frozen=True, slots=True)
class Window:
    """Items of one shard as the encoder takes them.

    Attributes:
        closes: digest of the shard's content, where these are its last items.
    """

    shard: int
    items: Sequence[Item]
    tokens: Any
    closes: str | None


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
    """The shard that is being read: how many passages it has, and a digest of them."""

    def __init__(self, number: int, known: Shard | None) -> None:
        self.number = number
        self.known = known
        self.rows = 0
        self._digest = hashlib.sha256()

    def add(self, item: Item) -> None:
        row = item.row
        stands = [item.content_hash, item.metadata, row.source, row.line]
        self.rows += 1
        self._digest.update(canonical_json(stands).encode())

    def content(self) -> str:
        return self._digest.hexdigest()
