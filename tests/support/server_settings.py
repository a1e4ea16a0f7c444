"""Settings that a server keeps and the client behind the test server does not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qdrant_client import QdrantClient, models

if TYPE_CHECKING:
    from tests.support.qdrant_calls import Call
    from tests.support.strict_mode import RateLimiter

CLUSTER_PARAMS = ("shard_number", "replication_factor", "write_consistency_factor")


@dataclass
class CollectionSettings:
    """Of one collection, from its creation to its deletion."""

    serial: int
    params: dict[str, int] = field(default_factory=dict)
    strict: models.StrictModeConfig | None = None
    limiters: dict[tuple[str, int], RateLimiter] = field(default_factory=dict)


class ServerSettings:
    """Of all collections by name, which start with `strict`; `clock` drives the rate limits."""

    def __init__(
        self, clock: Callable[[], float], strict: models.StrictModeConfig | None = None
    ) -> None:
        self._clock = clock
        self._strict = strict
        self._serial = itertools.count(1)
        self._collections: dict[str, CollectionSettings] = {}

    def of(self, client: QdrantClient, name: str) -> CollectionSettings:
        """Those of a collection or of the one behind an alias."""
        aliases = {a.alias_name: a.collection_name for a in client.get_aliases().aliases}
        name = aliases.get(name, name)
        if name not in self._collections:
            self._collections[name] = CollectionSettings(next(self._serial), strict=self._strict)
        return self._collections[name]

    def create(self, name: str, options: dict[str, Any]) -> None:
        """Take from the options of a new collection what is kept here."""
        params = {key: options.pop(key, None) for key in CLUSTER_PARAMS}
        strict = options.pop("strict_mode_config", None) or self._strict
        given = {key: value for key, value in params.items() if value is not None}
        self._collections[name] = CollectionSettings(next(self._serial), given, strict)

    def delete(self, name: str) -> None:
        """Forget a collection."""
        self._collections.pop(name, None)

    def update(self, settings: CollectionSettings, body: models.UpdateCollection) -> None:
        """Change those of a collection."""
        if body.strict_mode_config is not None:
            before = settings.strict.model_dump(exclude_none=True) if settings.strict else {}
            changes = body.strict_mode_config.model_dump(exclude_unset=True)
            settings.strict = models.StrictModeConfig(**{**before, **changes})
        for key in CLUSTER_PARAMS:
            value = getattr(body.params, key, None)
            if value is not None:
                settings.params[key] = value

    def complete(self, settings: CollectionSettings, info: models.CollectionInfo) -> None:
        """Add those of a collection to its description."""
        for key, value in settings.params.items():
            setattr(info.config.params, key, value)
        if settings.strict:
            output = models.StrictModeConfigOutput(**settings.strict.model_dump(exclude_none=True))
            info.config.strict_mode_config = output

    def limiter(self, call: Call, kind: str, per_minute: int) -> RateLimiter:
        """The rate limiter of a collection."""
        from tests.support.strict_mode import RateLimiter

        limiters = self.of(call.leader, call.name).limiters
        if (kind, per_minute) not in limiters:
            limiters[kind, per_minute] = RateLimiter(kind, per_minute, self._clock)
        return limiters[kind, per_minute]
