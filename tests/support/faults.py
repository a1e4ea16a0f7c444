"""Faults that a test server can suffer on command, and the plan of when it does."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

EVERY_CALL = r"\w+ /.+"
"""Matches every request but `GET /`, which qdrant-client sends on its own to learn the version."""


@dataclass(frozen=True)
class Status:
    """Answer `code` and do nothing. Without a `body`, it has Qdrant's error shape."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


@dataclass(frozen=True)
class ResetBefore:
    """Reset the connection (RST); the operation is not done."""


@dataclass(frozen=True)
class ResetAfter:
    """Do the operation, then reset the connection (RST): the acknowledgement is lost."""


@dataclass(frozen=True)
class StallBefore:
    """Say nothing for `seconds` (less if the client leaves), then hang up; nothing is done."""

    seconds: float


@dataclass(frozen=True)
class StallAfter:
    """Do the operation, say nothing for `seconds` (less if the client leaves), then hang up."""

    seconds: float


@dataclass(frozen=True)
class HalfAnswer:
    """Do the operation; send the whole head and half of the body, then hang up."""


@dataclass(frozen=True)
class Slow:
    """Wait `seconds`, then do the operation and answer, though the client may have given up."""

    seconds: float


@dataclass(frozen=True)
class Restart:
    """Cut every connection, refuse new ones for `seconds`, then be back; nothing is done."""

    seconds: float


Fault = Status | ResetBefore | ResetAfter | StallBefore | StallAfter | HalfAnswer | Slow | Restart


@dataclass
class _Injection:
    fault: Fault
    pattern: re.Pattern[str]
    left: int


@dataclass
class _Chaos:
    rate: float
    dice: random.Random
    kinds: Sequence[Fault]
    pattern: re.Pattern[str]


class FaultPlan:
    """Which request suffers what. Thread-safe. `match` is a regex for the whole "METHOD /path"."""

    def __init__(self) -> None:
        self.faulted: Counter[type[Fault]] = Counter()
        self._lock = threading.Lock()
        self._injections: list[_Injection] = []
        self._chaos: _Chaos | None = None

    def inject(self, fault: Fault, times: int = 1, match: str = EVERY_CALL) -> None:
        """Let the next `times` matching requests suffer `fault`; earlier injections come first."""
        with self._lock:
            self._injections.append(_Injection(fault, re.compile(match), times))

    def chaos(
        self, rate: float, seed: int, kinds: Sequence[Fault], match: str = EVERY_CALL
    ) -> None:
        """From now on, let a share `rate` of the matching requests suffer one of `kinds`.

        The n-th matching request meets the same fate on every run with the same `seed`.
        """
        with self._lock:
            self._chaos = _Chaos(rate, random.Random(seed), tuple(kinds), re.compile(match))

    def clear(self) -> None:
        """Plan nothing any more; the counts stay."""
        with self._lock:
            self._injections.clear()
            self._chaos = None

    def take(self, request: str) -> Fault | None:
        """Return what `request` ("METHOD /path") suffers, and count it."""
        with self._lock:
            fault = self._next_injected(request) or self._throw_dice(request)
            if fault is not None:
                self.faulted[type(fault)] += 1
            return fault

    def _next_injected(self, request: str) -> Fault | None:
        for injection in self._injections:
            if injection.left > 0 and injection.pattern.fullmatch(request):
                injection.left -= 1
                return injection.fault
        return None

    def _throw_dice(self, request: str) -> Fault | None:
        chaos = self._chaos
        if chaos is None or not chaos.pattern.fullmatch(request):
            return None
        return chaos.dice.choice(chaos.kinds) if chaos.dice.random() < chaos.rate else None
