"""Files and streams of passages and questions, read lazily; what cannot be used is set aside."""

from rdr_qdrant.readers.base import PassageSource
from rdr_qdrant.readers.documents import DocumentCounts, DocumentSource, shown_others
from rdr_qdrant.readers.io import same_file
from rdr_qdrant.readers.questions import Question, read_questions
from rdr_qdrant.readers.rejects import RejectLog
from rdr_qdrant.readers.row_parser import Reject, RejectHandler
from rdr_qdrant.readers.sources import open_source

__all__ = [
    "DocumentCounts",
    "DocumentSource",
    "PassageSource",
    "Question",
    "Reject",
    "RejectHandler",
    "RejectLog",
    "open_source",
    "read_questions",
    "same_file",
    "shown_others",
]
