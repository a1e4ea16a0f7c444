"""`EmbeddedQdrant`: a `QdrantClient` without a server, over Qdrant's engine in this process."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from qdrant_client import QdrantClient, models

from rdr_qdrant.embedded.errors import not_supported
from rdr_qdrant.embedded.local_backend import LocalBackend
from rdr_qdrant.embedded.shard import ProgressCallback
from rdr_qdrant.embedded.storage import Storage

MIN_UNINDEXED_FOR_BUILD = 20_000
"""Number of vectors without an index from which `build_index` pays. Below, a search compares all
of them in a few milliseconds, exactly; and the engine builds no index for a segment under its own
`indexing_threshold` (10,000 KB of vectors)."""


@dataclass(frozen=True)
class Features:
    """The points in which a client of this package differs from a client of a server.

    Attributes:
        takes_arrays: vectors may be numpy arrays, which are neither copied nor checked one by one.
        concurrent_writes: calls that gain from running at the same time.
        builds_index_on_request: `build_index` and `index_pays` exist; no index is built otherwise.
        reports_disk_bytes: `disk_bytes` exists.
    """

    takes_arrays: bool
    concurrent_writes: int
    builds_index_on_request: bool
    reports_disk_bytes: bool


EMBEDDED_FEATURES = Features(
    takes_arrays=True, concurrent_writes=1, builds_index_on_request=True, reports_disk_bytes=True
)

_INFERENCE_INPUTS = (models.Document, models.Image, models.InferenceObject)


class EmbeddedQdrant(QdrantClient):
    """The interface of `QdrantClient` over Qdrant Edge: one folder, one shard per collection.

    It is a `QdrantClient`, so that it goes wherever one does; methods, parameters, defaults,
    models and errors are the client's own. Vectors are stored and searched by the server's code.

    - A write is in the engine's write-ahead log when its method returns and survives the process
      being killed; `close` (or leaving the `with` block) flushes to disk against power loss.
    - Until `build_index`, and for points added since, search compares every vector: exact.
    - One process at a time has a folder open; its clients of that folder share it, and the last
      one that is closed closes it. Threads may share a client. The engine holds Python's
      interpreter lock during a call, so calls of several threads take turns.
    - Settings of a cluster (`wait`, `ordering`, `consistency`, `timeout`, `shard_number`,
      `replication_factor`, `wal_config`, ...) are accepted without effect. A parameter or method
      that would change an answer and is missing raises `NotSupportedError` with its name:
      snapshots, shard keys, groups, distance matrices, cluster methods, slices in filters, strict
      mode, collections without vectors, `mmr` in a prefetch or for sparse vectors, and the average
      of sparse vectors or multivectors in recommendations.

    Where it differs from the client's local mode it does as the server:
    - ordering (`order_by`) and `facet` need a payload index on their field;
    - a text index decides how its field's text matches (local mode ignores indexes);
    - an id that is neither an unsigned 64-bit integer nor a UUID is refused in every method
      (local mode stores -1, and finds nothing for "1");
    - payload is JSON: NaN and infinity are refused, integers above 64 bits become floats;
    - `update_collection` returns True when there was nothing to change.

    Attributes:
        features: the points in which it differs from a server's client.

    Example:
        with EmbeddedQdrant("./qdrant_data") as client:
            client.create_collection("wiki", models.VectorParams(size=768, distance="Dot"))
            client.upsert("wiki", [models.PointStruct(id=1, vector=[0.1] * 768)])
            client.query_points("wiki", query=[0.1] * 768, limit=5)
    """

    features = EMBEDDED_FEATURES

    _client: Any  # a LocalBackend, in place of QdrantClient's connection

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the folder `path`, which is created with its first collection.

        Raises:
            EmbeddedQdrantError: the path is a file, the folder is in use, damaged, of another
                engine version, or written by the client's local mode; the message says what to do.
        """
        backend = LocalBackend(Path(path))
        super().__init__(location=":memory:")
        self._client = backend

    @property
    def path(self) -> Path:
        """The folder."""
        path: Path = self._client.path
        return path

    @property
    def init_options(self) -> NoReturn:
        """Refused: a `QdrantClient` made from these would have other data."""
        raise not_supported("init_options", "make an EmbeddedQdrant from its `path`")

    def upsert(self, collection_name: str, points: Any, *args: Any, **kwargs: Any) -> Any:
        """As `QdrantClient.upsert`, without its search of every component for texts to embed."""
        if isinstance(points, list) and not any(map(_needs_inference, points)):
            parameters = {**dict(zip(_UPSERT_PARAMETERS, args, strict=False)), **kwargs}
            return self._client.upsert(collection_name, points, **parameters)
        return super().upsert(collection_name, points, *args, **kwargs)

    def build_index(self, collection_name: str, progress: ProgressCallback | None = None) -> bool:
        """Build what the index lacks: HNSW graphs, quantised vectors, merged segments.

        Runs in a process of its own; this client's other calls on the collection wait for it.

        Args:
            collection_name: a collection or an alias.
            progress: called a few times a second with the seconds since the start.

        Returns:
            True if anything was built, False if there was nothing to do.

        Raises:
            ValueError: the collection does not exist.
            EmbeddedQdrantError: the engine failed; the points are kept and search works as before.
        """
        return self._storage.shard(collection_name).build_index(progress)

    def index_pays(self, collection_name: str) -> bool:
        """True if at least `MIN_UNINDEXED_FOR_BUILD` dense vectors are not in the index."""
        info = self.get_collection(collection_name)
        indexed = info.indexed_vectors_count or 0
        for name in info.config.params.sparse_vectors or {}:  # always indexed
            has_one = models.Filter(must=[models.HasVectorCondition(has_vector=name)])
            indexed -= self.count(collection_name, count_filter=has_one).count
        return (info.points_count or 0) - indexed >= MIN_UNINDEXED_FOR_BUILD

    def disk_bytes(self, collection_name: str) -> int:
        """The disk space used by the collection's files, in bytes; holes are not counted."""
        return self._storage.shard(collection_name).disk_bytes()

    @property
    def _storage(self) -> Storage:
        storage: Storage = self._client.storage
        return storage

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EmbeddedQdrant({str(self.path)!r})"


# The order of QdrantClient.upsert's parameters after `collection_name` and `points`.
_UPSERT_PARAMETERS = (
    "wait",
    "ordering",
    "shard_key_selector",
    "update_filter",
    "update_mode",
    "timeout",
)


def _needs_inference(point: Any) -> bool:
    vector = getattr(point, "vector", None)
    if isinstance(vector, dict):
        return any(isinstance(value, _INFERENCE_INPUTS) for value in vector.values())
    return isinstance(vector, _INFERENCE_INPUTS)
