"""What runs in each process of the cluster: one encoder, and a client of Qdrant's."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from pydantic import SecretStr

from rdr_qdrant.collection import Collection, PointId
from rdr_qdrant.embeddings import RDREmbeddings
from rdr_qdrant.encoding import Side
from rdr_qdrant.errors import ModelError, RDRQdrantError
from rdr_qdrant.loader import stages
from rdr_qdrant.loader.stages import Encoded, Item, Retry
from rdr_qdrant.models import PairIdentity
from rdr_qdrant.passages import Passage
from rdr_qdrant.store import Retrying, connect

T = TypeVar("T")


class WorkerError(RDRQdrantError):
    """A process of the cluster that failed, or that could not be started again."""


@dataclass(frozen=True, slots=True)
class Server:
    """A Qdrant server as a worker reaches it; the key shows in no repr."""

    url: str
    api_key: SecretStr | None
    allow_key_over_http: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a load goes.

    Attributes:
        load: which load, of those that the workers see.
        collection_name: the collection.
        vector_name: its vector.
        retry_for: seconds for which a call is made again.
        fingerprint: of the encoder of this load.
    """

    load: str
    collection_name: str
    vector_name: str
    retry_for: float
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a window.

    Attributes:
        vectors: float32 [n, dim], in the order of its items.
        truncated: for each of them whether it was cut.
        refused: points that the server takes in no request.
        retries: calls that were made again.
    """

    vectors: Any
    truncated: Sequence[bool]
    refused: set[PointId]
    retries: Sequence[Retry]


class Worker:
    """Encodes windows and writes them; two at a time: one is encoded while the other is written.

    Nothing is loaded or reached before it is needed, so that whatever fails is told as the error
    of a call. Every call may be made again, after a death too: points are written by their ids.

    Args:
        pair: fields of the `RDREmbeddings`.
        server: where to write.
    """

    def __init__(self, pair: Mapping[str, Any], server: Server) -> None:
        self._embeddings = RDREmbeddings(**pair)
        self._server = server
        self._encoding = threading.Lock()
        self._connecting = threading.Lock()
        self._given_up: defaultdict[str, threading.Event] = defaultdict(threading.Event)

    def identity(self, sides: Sequence[Side]) -> PairIdentity:
        """See `RDREmbeddings.identity`."""
        return _telling(lambda: self._embeddings.identity(*sides))

    def fingerprint(self) -> str:
        """See `RDREmbeddings.fingerprint`."""
        return _telling(lambda: self._fingerprint)

    def encode(self, passages: Sequence[Passage]) -> tuple[Any, Sequence[bool]]:
        """Vectors of passages, float32 [n, dim], and which were cut."""
        return _telling(lambda: self._encode(passages))

    def load(self, items: Sequence[Item], target: Target) -> Loaded:
        """Encode items, and write them.

        Raises:
            ModelError: the encoder cannot be loaded here, or is another than the load's.
            StoreError: Qdrant does not answer, or refuses.
        """
        return _telling(lambda: self._load(items, target))

    def give_up(self, load: str) -> None:
        """Make no call of this load again from now on."""
        self._given_up[load].set()

    @cached_property
    def _fingerprint(self) -> str:
        return self._embeddings.fingerprint()

    @cached_property
    def _client(self) -> Any:
        server = self._server
        return connect(
            url=server.url, api_key=server.api_key, allow_key_over_http=server.allow_key_over_http
        )

    def _encode(self, passages: Sequence[Passage]) -> tuple[Any, Sequence[bool]]:
        with self._encoding:
            encoded = self._embeddings.encode_passages_counted(passages)
        return encoded.vectors, encoded.truncated

    def _load(self, items: Sequence[Item], target: Target) -> Loaded:
        with self._encoding:
            ours = self._fingerprint
        if ours != target.fingerprint:
            raise ModelError(
                f"The encoder {self._embeddings.pair.context_encoder} is not the same on all "
                "machines of the cluster: its weights differ. Copy one checkpoint to all of them."
            )
        vectors, truncated = self._encode([item.row.passage for item in items])
        retries: list[Retry] = []
        retrying = Retrying(
            target.retry_for,
            lambda why, seconds: retries.append(Retry(why, seconds)),
            self._given_up[target.load],
        )
        with self._connecting:
            client = self._client
        collection = Collection(client, target.collection_name, target.vector_name, retrying)
        written = stages.write(collection, Encoded(items, vectors, truncated))
        return Loaded(vectors, truncated, written.refused, retries)


def _telling(call: Callable[[], T]) -> T:
    """Errors of ours as they are; others as one line of text, which can travel."""
    try:
        return call()
    except RDRQdrantError:
        raise
    except Exception as error:
        raise WorkerError(f"A worker failed ({type(error).__name__}: {error}).") from None
