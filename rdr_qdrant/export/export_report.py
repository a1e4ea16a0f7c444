"""`EncodeReport`: the result of an encoding."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EncodeReport:
    """Result of an encoding; `read = encoded + kept + repeated + rejected` once it is complete.

    Attributes:
        folder: the folder of the shards.
        read: rows and passages read.
        encoded: passages encoded now.
        kept: passages skipped, since they were encoded before.
        repeated: rows dropped, since an earlier one has the same id and content.
        rejected: rows that cannot be used.
        truncated: in the folder, passages of which only the first `max_length` tokens were encoded.
        passages: passages in the folder.
        shards: files in the folder.
        bytes: of the shards.
        seconds: from start to end.
        in_hand: while it runs, rows that were read and are in no other number yet.
        interrupted: it was stopped before its end; finished batches are kept.
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
    bytes: int = 0
    seconds: float = 0.0
    in_hand: int = 0
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """The same as a dict, seconds rounded to milliseconds."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}
