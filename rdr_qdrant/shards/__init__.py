"""Passages with their vectors in a folder of Parquet files: encoded here, loaded there."""

from rdr_qdrant.shards.encoder import ShardEncoder
from rdr_qdrant.shards.folder import ShardFolder, is_shard_folder, vectors_of
from rdr_qdrant.shards.report import EncodeReport
from rdr_qdrant.shards.vectors import StoredVectors

__all__ = [
    "EncodeReport",
    "ShardEncoder",
    "ShardFolder",
    "StoredVectors",
    "is_shard_folder",
    "vectors_of",
]
