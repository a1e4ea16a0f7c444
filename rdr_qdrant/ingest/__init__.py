"""Passages into a collection: nothing lost, nothing twice, and a report that says the truth."""

from rdr_qdrant.ingest.loader import QdrantLoader
from rdr_qdrant.ingest.passage_encoder import PassageEncoder
from rdr_qdrant.ingest.records import fraction_read
from rdr_qdrant.ingest.report import LoadReport, ProgressHandler
from rdr_qdrant.ingest.verify import VerificationError

__all__ = [
    "LoadReport",
    "PassageEncoder",
    "ProgressHandler",
    "QdrantLoader",
    "VerificationError",
    "fraction_read",
]
