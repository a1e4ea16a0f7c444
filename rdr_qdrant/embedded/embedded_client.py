"""`EmbeddedQdrant`: a `QdrantClient` with no server, over Qdrant's own engine in this process."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from qdrant_client import QdrantClient, models

from rdr_qdrant.embedded.disk_space import folder_bytes
from rdr_qdrant.embedded.errors import not_supported
from rdr_qdrant.embedded.local_backend import EmbeddedBackend
from rdr_qdrant.embedded.shard import Progress
from rdr_qdrant.embedded.storage import Folder

INDEX_PAYS_FROM = 20_000
"""From how many vectors without an index `build_index` pays. Below, a search compares all of them
in a few milliseconds, exactly; and the engine makes no index for a segment under its own
`indexing_threshold` (10,000 KB of vectors), whatever is asked of it."""

_TO_EMBED = (models.Document, models.Image, models.InferenceObject)


class EmbeddedQdrant(QdrantClient):
    """The client's interface over Qdrant Edge: one folder, one engine shard for each collection.

    It is a `QdrantClient`, so that whatever takes one takes this; methods, parameters, defaults,
    models and errors are the client's own. Vectors are stored and searched by the server's code.

    - A write is in the engine's write-ahead log when its method returns and survives the process
      being killed; `close` (or leaving the `with` block) flushes to disk against loss of power.
    - Until `build_index`, and for points added since, search compares every vector: exact.
    - One client at a time has a folder open. It may be shared by threads. The engine holds
      Python's interpreter lock during a call, so calls of several threads take turns.
    - Settings of a cluster (`wait`, `ordering`, `consistency`, `timeout`, `shard_number`,
      `replication_factor`, `wal_config`, ...) are accepted and change nothing. What would change
      an answer and is not there raises `NotSupportedError`, naming it: snapshots, shard keys,
      groups, distance matrices, cluster methods, slices in filters, strict mode.

    Where it differs from the client's local mode it does what the server does:
    - ordering (`order_by`) and `facet` need a payload index on their field;
    - a text index decides how its field's text matches (local mode ignores indexes);
    - an id that is neither an unsigned 64-bit integer nor a UUID is refused in every method
      (local mode stores -1, and finds nothing for "1");
    - payload is JSON: NaN and infinity are refused, integers above 64 bits become floats;
    - `update_collection` returns True when there was nothing to change.

    Example:
        with EmbeddedQdrant("./qdrant_data") as client:
            client.create_collection("wiki", models.VectorParams(size=768, distance="Dot"))
            client.upsert("wiki", [models.PointStruct(id=1, vector=[0.1] * 768)])
            client.query_points("wiki", query=[0.1] * 768, limit=5)
    """

    _client: EmbeddedBackend

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the folder `path`; the first collection makes it. Collections are read when used.

        Raises:
            StoreError: the path is a file, the folder is in use, damaged, of another engine
                version, or written by the client's local mode; the message says what to do.
        """
        folder = Folder(Path(path))
        super().__init__(location=":memory:")
        self._client = EmbeddedBackend(folder)

    @property
    def path(self) -> Path:
        """The folder."""
        return self._client.folder.path

    @property
    def init_options(self) -> NoReturn:
        """Refused: a `QdrantClient` made from it would be another store."""
        raise not_supported("init_options", "make an EmbeddedQdrant from its `path`")

    def upsert(self, collection_name: str, points: Any, *args: Any, **kwargs: Any) -> Any:
        """As `QdrantClient.upsert`, without its search of each number for texts to embed."""
        if isinstance(points, list) and not any(map(_needs_embedding, points)):
            return self._client.upsert(collection_name, points, **_named(args, kwargs))
        return super().upsert(collection_name, points, *args, **kwargs)

    def build_index(self, collection_name: str, progress: Progress | None = None) -> bool:
        """Build what the collection's index lacks: HNSW graphs, quantised vectors, merged segments.

        Runs in a process of its own; this client's other calls on the collection wait for it.

        Args:
            collection_name: a collection or an alias.
            progress: called a few times a second with the seconds since the start.

        Returns:
            True if anything was built, False if there was nothing to do.

        Raises:
            ValueError: there is no such collection.
            StoreError: the engine failed; the points are kept and search works as before.
        """
        return self._client.folder.collection(collection_name).build_index(progress)

    def index_pays(self, collection_name: str) -> bool:
        """Whether at least `INDEX_PAYS_FROM` points are searched without an index."""
        info = self.get_collection(collection_name)
        return (info.points_count or 0) - (info.indexed_vectors_count or 0) >= INDEX_PAYS_FROM

    def disk_bytes(self, collection_name: str) -> int:
        """What the collection's files take on disk, in bytes; holes in them are not counted."""
        return folder_bytes(self._client.folder.collection(collection_name).folder)

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


_UPSERT_PARAMETERS: Sequence[str] = (
    "wait",
    "ordering",
    "shard_key_selector",
    "update_filter",
    "update_mode",
    "timeout",
)


def _named(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**dict(zip(_UPSERT_PARAMETERS, args, strict=False)), **kwargs}


def _needs_embedding(point: Any) -> bool:
    vector = getattr(point, "vector", None)
    if isinstance(vector, dict):
        return any(isinstance(one, _TO_EMBED) for one in vector.values())
    return isinstance(vector, _TO_EMBED)
