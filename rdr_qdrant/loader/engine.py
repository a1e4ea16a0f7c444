"""Where passages are encoded and written: by threads of this process, or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from rdr_qdrant.loader.stages import Changed, Encoded, Retry, Window, Written

if TYPE_CHECKING:
    from rdr_qdrant.loader.settings import LoadSettings


class Working(AbstractContextManager[Any], Protocol):
    """Windows in, what was done with them out; `Pipeline` says what each method does."""

    def feed(self, window: Window) -> Iterator[Written | Retry]:
        """Put a window in as soon as there is room; meanwhile, results."""

    def feed_encoded(self, batch: Changed) -> Iterator[Written | Retry]:
        """Put in what only has to be written."""

    def tell(self, news: Written | Retry) -> None:
        """Put something between the results."""

    def rest(self) -> Iterator[Written | Retry]:
        """Wait until everything is done."""

    def stop(self) -> Iterator[Written | Retry]:
        """End once what is being encoded or written is; what was done of it."""


class Engine(Protocol):
    """Encodes and writes."""

    def begin(
        self,
        settings: LoadSettings,
        collection_name: str,
        write: Callable[[Encoded | Changed], Written],
        check: Callable[[], None],
    ) -> Working:
        """Be ready for windows.

        Args:
            settings: of the load.
            collection_name: where to; behind an alias it is not that of the settings.
            write: writes a batch from here.
            check: called now and then while the caller waits; what it raises ends the wait.
        """
