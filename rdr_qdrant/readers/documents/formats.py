"""The kinds of documents, by their extensions, and what reads each."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import PurePath
from typing import BinaryIO

from rdr_qdrant.errors import SourceError, install_hint
from rdr_qdrant.readers.documents.document import Document, cleaned

RULES = 1
"""Our own part of a conversion; another number where the same file would give another text."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document.

    Attributes:
        module: what reads it, in this package.
        content_type: its media type (IANA).
        packages: distributions that it needs (extra `documents`); the first one makes the text.
    """

    module: str
    content_type: str
    packages: tuple[str, ...] = ()

    def read(self, stream: BinaryIO) -> Document:
        """Convert a file.

        Raises:
            DocumentError: it cannot be used.
            Exception: whatever else a converter raises at what it did not expect.
        """
        module = importlib.import_module(f"{__package__}.{self.module}")
        document: Document = module.read(stream)
        return cleaned(document)

    def converter(self, file: str) -> str:
        """What converts it, with versions.

        Args:
            file: for the message.

        Raises:
            SourceError: a package is not installed.
        """
        try:
            versions = [f"{package} {metadata.version(package)}" for package in self.packages]
        except metadata.PackageNotFoundError as error:
            raise SourceError(
                f"Reading {file} needs {error.name}: {install_hint('documents')}."
            ) from None
        return ", ".join([*versions[:1], f"rules {RULES}"])


_TEXT = Kind("text", "text/plain")
_MARKDOWN = Kind("markdown", "text/markdown", ("markdown-it-py",))
_HTML = Kind("html", "text/html")
_PDF = Kind("pdf", "application/pdf", ("pypdf",))
_DOCX = Kind(
    "docx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ("mammoth", "defusedxml"),
)
KINDS: Mapping[str, Kind] = {
    ".txt": _TEXT,
    ".md": _MARKDOWN,
    ".markdown": _MARKDOWN,
    ".html": _HTML,
    ".htm": _HTML,
    ".pdf": _PDF,
    ".docx": _DOCX,
}
KNOWN_KINDS = ", ".join(KINDS)


def kind_of(name: str) -> Kind | None:
    """The kind of a file by its name, if it is one of ours."""
    return KINDS.get(PurePath(name).suffix.lower())
