"""Passages into a collection: nothing lost, nothing twice, and a report that says the truth."""

from rdr_qdrant.loader.encoder import PassageEncoder
from rdr_qdrant.loader.loader import QdrantLoader
from rdr_qdrant.loader.report import LoadReport, ProgressHandler
from rdr_qdrant.loader.rows import fraction_read
from rdr_qdrant.loader.verification import VerificationError

__all__ = [
    "LoadReport",
    "PassageEncoder",
    "ProgressHandler",
    "QdrantLoader",
    "VerificationError",
    "fraction_read",
]
