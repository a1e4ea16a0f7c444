"""The structure of a document's text, as its converter knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BlockKind = Literal["heading", "paragraph", "item"]
"""`heading` begins a part; `paragraph` holds sentences; `item` is not torn where it fits: an item
of a list, a row of a table, a line of code."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a document's text.

    Attributes:
        kind: see `BlockKind`.
        start: its first character.
        end: the character after its last.
    """

    kind: BlockKind
    start: int
    end: int
