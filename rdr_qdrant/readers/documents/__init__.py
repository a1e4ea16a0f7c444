"""Documents as people write them (extra `documents`): text, Markdown, HTML, PDF, DOCX."""

from rdr_qdrant.readers.documents.kinds import KNOWN_KINDS, kind_of
from rdr_qdrant.readers.documents.source import (
    WORDS,
    DocumentCounts,
    DocumentSource,
    Recall,
    open_documents,
    shown_others,
)

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
