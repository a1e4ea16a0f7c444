"""Keys with rights: what a server answers to a key that may not do what it asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.support.qdrant_calls import ApiError, Route

READING_CALLS = ("/points", "/points/scroll", "/points/count", "/points/query")


@dataclass(frozen=True)
class Key:
    """What a key may do.

    Attributes:
        everywhere: on all collections; `None`: only on those named.
        collections: what it may do on some; `rw` reads and writes points and payload indexes.
        expired: it was valid once.
    """

    everywhere: Literal["manage", "read"] | None = None
    collections: Mapping[str, Literal["r", "rw"]] = field(default_factory=dict)
    expired: bool = False

    @property
    def readable(self) -> frozenset[str] | None:
        """The collections that it may read; `None`: all."""
        return None if self.everywhere else frozenset(self.collections)

    def check(self, route: Route, name: str | None) -> None:
        """Refuse a call that needs more rights.

        Raises:
            ApiError: 403, in the words of Qdrant 1.19.
        """
        if self.everywhere == "manage":
            return
        under = route.template.removeprefix("/collections/{collection_name}")
        reads = route.method == "GET" or (
            route.method == "POST" and under.startswith(READING_CALLS) and not _changes(under)
        )
        if self.everywhere == "read":
            if not reads:
                raise ApiError(403, "Forbidden: Global manage access is required")
            return
        of_all = name is None or (under == "" and route.method != "GET")
        if of_all and route.label not in ("GET /collections", "GET /aliases"):
            raise ApiError(403, "Forbidden: Global access is required")
        if name is None:
            return
        if name not in self.collections:
            raise ApiError(403, f"Forbidden: Access to collection {name} is required")
        if not reads and self.collections[name] != "rw":
            raise ApiError(403, f"Forbidden: Write access to collection {name} is required")


def _changes(under: str) -> bool:
    return under.startswith(("/points/delete", "/points/payload", "/points/batch"))
