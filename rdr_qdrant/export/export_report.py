"""What an encoding did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EncodeReport:
    """What an encoding did; `read = encoded + kept + repeated + rejected` once it is complete.

    Attributes:
        folder: where the shards are.
        read: rows and passages that were looked at.
        encoded: passages that were encoded now.
        kept: passages that were encoded before.
        repeated: rows whose id and content stood before.
        rejected: rows that were set aside.
        truncated: in the folder, passages of which only the first `max_length` tokens were encoded.
        passages: in the shards that are finished.
        shards: that are finished.
        unfinished: passages that are encoded and kept, but in no shard yet.
        bytes: of the shards.
        seconds: from start to end.
        in_hand: while it runs, what was read and is not in the other numbers yet.
        interrupted: it was stopped before its end; what was encoded is kept.
    """

    folder: str
    read: int = 0
    encoded: int = 0
    kept: int = 0
    repeated: int = 0
    rejected: int = 0
    truncated: int = 0
    passages: int = 0
    shards: int = 0
    unfinished: int = 0
    bytes: int = 0
    seconds: float = 0.0
    in_hand: int = 0
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """The same as a dict, seconds rounded to milliseconds."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}
