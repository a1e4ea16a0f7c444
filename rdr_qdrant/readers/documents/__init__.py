"""Documents as sources of passages (extra `documents`): text, Markdown, HTML, PDF, DOCX."""

from rdr_qdrant.readers.documents.document_source import (
    DocumentCounts,
    DocumentSource,
    StoredDocumentLookup,
    format_extension_counts,
    open_document_source,
)
from rdr_qdrant.readers.documents.formats import DOCUMENT_EXTENSIONS, document_format

__all__ = [
    "DOCUMENT_EXTENSIONS",
    "DocumentCounts",
    "DocumentSource",
    "StoredDocumentLookup",
    "document_format",
    "format_extension_counts",
    "open_document_source",
]
