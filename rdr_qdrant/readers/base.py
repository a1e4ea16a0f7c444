"""What every source of passages offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from rdr_qdrant.passages import Passage
from rdr_qdrant.readers.row_parser import RejectHandler


class PassageSource(ABC):
    """One file, folder or stream of passages; memory does not grow with it.

    Attributes:
        name: what the user called it; kept as `source` in the metadata of its passages.
        size: bytes on disk, 0 for a stream.
        read: rows or passages seen so far, whether used or set aside.
        missing: rows of it that were set aside before it came here; nobody knows their ids.
        path: the file that any process of this machine can read in its place; `None` where there
            is none, or where reading it takes more than the file.
    """

    missing = 0
    path: Path | None = None

    def __init__(self, name: str, size: int = 0) -> None:
        self.name = name
        self.size = size
        self.read = 0

    def passages(self, reject: RejectHandler) -> Iterator[Passage]:
        """The passages in their order; what cannot be used goes to `reject`."""
        return (passage for _, passage in self.numbered_passages(reject))

    @abstractmethod
    def numbered_passages(self, reject: RejectHandler) -> Iterator[tuple[int, Passage]]:
        """`passages`, each with the line or number at which it stands."""

    def fraction_read(self) -> float | None:
        """How much of it has been read, from 0 to 1, or `None` where its length is not known."""
        return None

    def was_read_elsewhere(self, read: int, fraction: float | None) -> None:
        """Another process reads it in this one's place, and has come so far."""
        self.read = read

    def reads(self, path: Path) -> bool:
        """Whether this file is (a part of) the source, so that it must not be written."""
        return False
