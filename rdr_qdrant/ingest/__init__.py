"""Passages into a collection: one loop, nothing lost, nothing twice, a verified report.

    read -> deduplicate ids -> diff against the sink -> execute -> verify -> prune -> publish

`job.py` is the loop; `ThreadExecutor` and `ray.RayExecutor` run its batches; `QdrantSink` and
`export.ParquetSink` take its points.
"""

from rdr_qdrant.ingest.loader import QdrantLoader
from rdr_qdrant.ingest.passage_encoder import PassageEncoder
from rdr_qdrant.ingest.report import LoadReport, ProgressHandler
from rdr_qdrant.ingest.verify import VerificationError

__all__ = [
    "LoadReport",
    "PassageEncoder",
    "ProgressHandler",
    "QdrantLoader",
    "VerificationError",
]
