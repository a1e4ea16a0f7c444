"""What a load is told: where to, how, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rdr_qdrant.client import RETRY_FOR_SECONDS
from rdr_qdrant.collection import CollectionSettings
from rdr_qdrant.ingest.cancellation import Stopping
from rdr_qdrant.ingest.executor import Engine
from rdr_qdrant.ingest.passage_encoder import PassageEncoder
from rdr_qdrant.ingest.report import ProgressHandler
from rdr_qdrant.readers import RejectHandler

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


@dataclass(kw_only=True)
class LoadSettings:
    """The settings of a load; `QdrantLoader` tells what each means."""

    embeddings: PassageEncoder
    client: QdrantClient
    collection_name: str
    batch_size: int = 256
    vector_name: str = ""
    allow_unverified: bool = False
    recreate: bool = False
    dry_run: bool = False
    retry_for: float = RETRY_FOR_SECONDS
    on_reject: RejectHandler | None = None
    on_progress: ProgressHandler | None = None
    on_retry: Callable[[str, float], None] | None = None
    index: bool = True
    on_indexing: Callable[[float], None] | None = None
    collection_settings: CollectionSettings | None = None
    bulk: bool = False
    swap_alias: bool = False
    drop_old: bool = False
    on_server_indexing: Callable[[int, int], None] | None = None
    engine: Engine | None = None

    stopping: Stopping = field(init=False, repr=False, default_factory=Stopping)
