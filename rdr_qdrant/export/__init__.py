"""Passages with their vectors in a folder of Parquet files: encoded here, loaded elsewhere.

The job is that of `ingest`, with a `ParquetSink`.
"""

from rdr_qdrant.export.export_reader import ShardFolder, is_shard_folder, vectors_of
from rdr_qdrant.export.export_report import EncodeReport
from rdr_qdrant.export.exporter import ShardEncoder
from rdr_qdrant.export.precomputed import PrecomputedVectors

__all__ = [
    "EncodeReport",
    "PrecomputedVectors",
    "ShardEncoder",
    "ShardFolder",
    "is_shard_folder",
    "vectors_of",
]
