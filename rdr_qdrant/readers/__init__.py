"""Files and streams of passages and questions, read lazily; what cannot be used is set aside."""

from rdr_qdrant.readers.files import same_file
from rdr_qdrant.readers.questions import Question, read_questions
from rdr_qdrant.readers.rejects import RejectLog
from rdr_qdrant.readers.rows import Reject, RejectHandler
from rdr_qdrant.readers.sources import PassageSource, open_source

__all__ = [
    "PassageSource",
    "Question",
    "Reject",
    "RejectHandler",
    "RejectLog",
    "open_source",
    "read_questions",
    "same_file",
]
