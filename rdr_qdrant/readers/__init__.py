"""Lazy readers for files and streams of passages and questions; unusable rows are rejected.

Relevance judgments and runs are read whole, and refused where a line is wrong.
"""

from rdr_qdrant.readers.base import PassageSource, fraction_read, source_changes
from rdr_qdrant.readers.beir import BEIRFolder
from rdr_qdrant.readers.documents import (
    DocumentCounts,
    DocumentSource,
    format_extension_counts,
)
from rdr_qdrant.readers.file_io import is_same_file
from rdr_qdrant.readers.line_reader import Quoting
from rdr_qdrant.readers.questions import Question, read_questions, read_questions_with_ids
from rdr_qdrant.readers.rejects import Reject, RejectHandler, RejectLog
from rdr_qdrant.readers.source_factory import open_source, open_sources
from rdr_qdrant.readers.trec import Qrels, Run, read_qrels, read_trec_run

__all__ = [
    "BEIRFolder",
    "DocumentCounts",
    "DocumentSource",
    "PassageSource",
    "Qrels",
    "Question",
    "Quoting",
    "Reject",
    "RejectHandler",
    "RejectLog",
    "Run",
    "format_extension_counts",
    "fraction_read",
    "is_same_file",
    "open_source",
    "open_sources",
    "read_qrels",
    "read_questions",
    "read_questions_with_ids",
    "read_trec_run",
    "source_changes",
]
