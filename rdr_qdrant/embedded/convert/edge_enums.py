"""Enumerations: `models.Distance.DOT` to the engine's `Distance.Dot`, and back."""

from enum import Enum
from typing import Any, TypeVar

from rdr_qdrant.embedded.errors import not_supported

E = TypeVar("E")
M = TypeVar("M", bound=Enum)


def to_engine_enum(kind: type[E], member: Enum | str | None) -> E | None:
    """Find the member of the engine's enumeration `kind` with the same name; None stays None.

    Names are compared without case and underscores: "one_and_half_bits" is `OneAndHalfBits`.

    Raises:
        NotSupportedError: the engine has no such member.
    """
    if member is None:
        return None
    value = str(member.value if isinstance(member, Enum) else member)
    for name in dir(kind):
        if not name.startswith("_") and _normalized(name) == _normalized(value):
            found: E = getattr(kind, name)
            return found
    raise not_supported(f"{kind.__name__} {value!r}", "choose another value")


def to_client_enum(kind: type[M], member: Any) -> M:
    """Find the member of qdrant-client's enumeration `kind` named as the engine's `member`."""
    name = str(member).rpartition(".")[2]
    return next(
        candidate for candidate in kind if _normalized(str(candidate.value)) == _normalized(name)
    )


def _normalized(name: str) -> str:
    return name.replace("_", "").lower()
