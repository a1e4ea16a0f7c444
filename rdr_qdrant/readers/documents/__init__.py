"""Documents as people write them (extra `documents`): text, Markdown, HTML, PDF, DOCX."""

from rdr_qdrant.readers.documents.document_source import (
    WORDS,
    DocumentCounts,
    DocumentSource,
    Recall,
    open_documents,
    shown_others,
)
from rdr_qdrant.readers.documents.formats import KNOWN_KINDS, kind_of

__all__ = [
    "KNOWN_KINDS",
    "WORDS",
    "DocumentCounts",
    "DocumentSource",
    "Recall",
    "kind_of",
    "open_documents",
    "shown_others",
]
