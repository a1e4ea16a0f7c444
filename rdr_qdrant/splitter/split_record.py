"""How the texts of a collection, or of an encoded folder, were split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rdr_qdrant.errors import UsageError
from rdr_qdrant.splitter.splitter import SplitSettings

RowSplit = SplitSettings | None
"""How rows were split; `None`: they were left whole."""


@dataclass(frozen=True, slots=True)
class SplitRecord:
    """Every way in which texts were split.

    Attributes:
        rows: of rows; empty if there were none.
        documents: of documents; empty if there were none.
    """

    rows: tuple[RowSplit, ...] = ()
    documents: tuple[SplitSettings, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "rows": [one and one.to_json() for one in self.rows],
            "documents": [one.to_json() for one in self.documents],
        }

    @classmethod
    def from_json(cls, found: object) -> SplitRecord | None:
        """From JSON; `None` if it is no such record."""
        if not isinstance(found, Mapping):
            return None
        try:
            return cls(
                tuple(None if one is None else SplitSettings(**one) for one in found["rows"]),
                tuple(SplitSettings(**one) for one in found["documents"]),
            )
        except (KeyError, TypeError, UsageError):
            return None

    def __str__(self) -> str:
        kinds = (("rows", self.rows), ("documents", self.documents))
        return ", ".join(f"{kind} {describe_splits(ways)}" for kind, ways in kinds if ways)

    def __or__(self, other: SplitRecord) -> SplitRecord:
        """Both together."""
        return SplitRecord(
            tuple(dict.fromkeys((*self.rows, *other.rows))),
            tuple(dict.fromkeys((*self.documents, *other.documents))),
        )

    @property
    def splits_texts(self) -> bool:
        """True if any text was split."""
        return bool(self.documents) or any(self.rows)

    def conflict_with(self, other: SplitRecord) -> str | None:
        """How `other` splits otherwise, as "rows ..., but this load ..."; `None` if it does not.

        Rows and documents are compared apart: passages that come ready-made may stand beside
        documents that were split.
        """
        pairs = (("rows", self.rows, other.rows), ("documents", self.documents, other.documents))
        for kind, ours, theirs in pairs:
            if ours and theirs and not set(theirs) <= set(ours):
                before, now = (describe_splits(one) for one in (ours, theirs))
                return f"{kind} {before}, but this load has {kind} {now}"
        return None


def describe_splits(ways: tuple[RowSplit, ...]) -> str:
    """In words: "split into blocks of 100 words"."""
    return " and ".join("left whole" if one is None else f"split into {one}" for one in ways)
