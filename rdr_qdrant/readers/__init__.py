"""Lazy readers for files and streams of passages and questions; unusable rows are rejected."""

from rdr_qdrant.readers.base import PassageSource
from rdr_qdrant.readers.documents import (
    DocumentCounts,
    DocumentSource,
    format_extension_counts,
)
from rdr_qdrant.readers.file_io import is_same_file
from rdr_qdrant.readers.questions import Question, read_questions
from rdr_qdrant.readers.rejects import Reject, RejectHandler, RejectLog
from rdr_qdrant.readers.source_factory import open_source

__all__ = [
    "DocumentCounts",
    "DocumentSource",
    "PassageSource",
    "Question",
    "Reject",
    "RejectHandler",
    "RejectLog",
    "format_extension_counts",
    "is_same_file",
    "open_source",
    "read_questions",
]
