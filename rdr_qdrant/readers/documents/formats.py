"""Document formats by extension, each with the module that converts it.

To add a format, write a module here with `convert(stream) -> ConvertedDocument`, and list it in
`DOCUMENT_FORMATS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import PurePath
from typing import BinaryIO

from rdr_qdrant.errors import SourceError, install_hint
from rdr_qdrant.readers.documents.document import ConvertedDocument, normalize_document

CONVERSION_RULES_VERSION = 6
"""Version of this package's own part in a conversion; raise it when the text it gives changes."""


@dataclass(frozen=True, slots=True)
class DocumentFormat:
    """A document format.

    Attributes:
        module: module of this package that converts it.
        content_type: its media type (IANA).
        packages: distributions that it needs (extra `documents`); the first extracts the text.
    """

    module: str
    content_type: str
    packages: tuple[str, ...] = ()

    def convert(self, stream: BinaryIO) -> ConvertedDocument:
        """Convert a file.

        Raises:
            DocumentError: the file cannot be used.
            Exception: any other error of a converting library.
        """
        module = importlib.import_module(f"{__package__}.{self.module}")
        document: ConvertedDocument = module.convert(stream)
        return normalize_document(document)

    def converter_version(self, file: str) -> str:
        """Return name and version of the converter, stored as `converter` in the metadata.

        Args:
            file: a file of this format, for the error message.

        Raises:
            SourceError: a package is not installed.
        """
        try:
            versions = [f"{package} {metadata.version(package)}" for package in self.packages]
        except metadata.PackageNotFoundError as error:
            raise SourceError(
                f"Reading {file} needs {error.name}: {install_hint('documents')}."
            ) from None
        return ", ".join([*versions[:1], f"rules {CONVERSION_RULES_VERSION}"])


_TEXT = DocumentFormat("text", "text/plain")
_MARKDOWN = DocumentFormat("markdown", "text/markdown", ("markdown-it-py", "lxml"))
_HTML = DocumentFormat("html", "text/html", ("lxml",))
_PDF = DocumentFormat("pdf", "application/pdf", ("pypdf",))
_DOCX = DocumentFormat(
    "docx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ("mammoth", "defusedxml", "lxml"),
)
DOCUMENT_FORMATS: Mapping[str, DocumentFormat] = {
    ".txt": _TEXT,
    ".md": _MARKDOWN,
    ".markdown": _MARKDOWN,
    ".html": _HTML,
    ".htm": _HTML,
    ".pdf": _PDF,
    ".docx": _DOCX,
}
DOCUMENT_EXTENSIONS = ", ".join(DOCUMENT_FORMATS)


def document_format(name: str) -> DocumentFormat | None:
    """Return the format of a file by its extension, or `None` if it is not a document."""
    return DOCUMENT_FORMATS.get(PurePath(name).suffix.lower())
