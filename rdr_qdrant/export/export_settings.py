"""What an encoding is told: where to, how, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rdr_qdrant.export.export_report import EncodeReport
from rdr_qdrant.ingest.cancellation import Stopping
from rdr_qdrant.ingest.passage_encoder import PassageEncoder
from rdr_qdrant.readers import RejectHandler

SHARD_SIZE = 16_384
"""Passages of a shard: 50 MB of vectors at 768 numbers."""


@dataclass(kw_only=True)
class EncodeSettings:
    """The settings of an encoding; `ShardEncoder` tells what each means."""

    embeddings: PassageEncoder
    folder: str | Path
    shard_size: int = SHARD_SIZE
    vectors: Literal["float32", "float16"] = "float32"
    batch_size: int = 256
    on_reject: RejectHandler | None = None
    on_progress: Callable[[EncodeReport], None] | None = None

    stopping: Stopping = field(init=False, repr=False, default_factory=Stopping)
