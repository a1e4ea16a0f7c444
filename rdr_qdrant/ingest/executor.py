"""What reads, encodes and writes in other processes, where threads of this one are not enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from rdr_qdrant.ingest.diff import Retry
from rdr_qdrant.ingest.partitions import Part
from rdr_qdrant.ingest.records import Row
from rdr_qdrant.ingest.remote_batch import Done

if TYPE_CHECKING:
    from rdr_qdrant.ingest.options import LoadSettings


class Working(AbstractContextManager[Any], Protocol):
    """A load that is under way elsewhere. Every iterator has to be run to its end."""

    def feed(self, part: int, rows: Sequence[Row]) -> Iterator[Done | Retry]:
        """Give rows of a part that is read here; meanwhile, results."""

    def end(self, part: int) -> None:
        """There are no more rows of this part."""

    def rest(self) -> Iterator[Done | Retry]:
        """Wait until everything is done.

        Raises:
            RDRQdrantError: the processes failed.
            Exception: what `check` raised.
        """

    def stop(self) -> Iterator[Done | Retry]:
        """End once the batches that are being loaded are; what was done of them."""


class Engine(Protocol):
    """Loads the parts of a load."""

    def begin(
        self,
        settings: LoadSettings,
        collection_name: str,
        fingerprint: str,
        parts: Sequence[Part],
        check: Callable[[], None],
    ) -> Working:
        """Begin to read the parts that can be read elsewhere, and to load all of them.

        Of rows with one id, the first in the order of the parts is loaded.

        Args:
            settings: of the load.
            collection_name: where to; behind an alias it is not that of the settings.
            fingerprint: of the encoder.
            parts: in their order.
            check: called now and then while the caller waits; what it raises ends the wait.
        """
