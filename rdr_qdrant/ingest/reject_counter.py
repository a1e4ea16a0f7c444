"""`RejectCounter`: so that rejects are reported also where nobody handles them."""

from __future__ import annotations

import logging

from rdr_qdrant.readers import Reject, RejectHandler

logger = logging.getLogger(__name__)


class RejectCounter:
    """Passes rejects on, counts them, and keeps the first reason.

    Args:
        on_reject: called with each reject.
    """

    def __init__(self, on_reject: RejectHandler | None) -> None:
        self.count = 0
        self._on_reject = on_reject
        self._first = ""

    def __call__(self, reject: Reject) -> None:
        self.count += 1
        where = f"{reject.source}, line {reject.line}" if reject.line else reject.source
        self._first = self._first or f"{where}: {reject.reason}"
        if self._on_reject:
            self._on_reject(reject)

    def summary(self) -> str:
        """The count and the first reason, in one line."""
        return f"{self.count:,} rejected (first: {self._first})"

    def summary_unless_handled(self) -> str:
        """The summary as a sentence after another one; empty if each reject was handled."""
        return "" if self._on_reject else f" {self.summary()}."

    def warn_unless_handled(self) -> None:
        """Log the summary if there are rejects that nobody handled."""
        if self.count and self._on_reject is None:
            logger.warning("%s. Give on_reject to get each of them", self.summary())
