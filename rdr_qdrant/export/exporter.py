"""`ShardEncoder`: sources into a folder of Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rdr_qdrant.errors import SourceError
from rdr_qdrant.export.export_report import EncodeReport
from rdr_qdrant.export.parquet_io import need_pyarrow
from rdr_qdrant.export.parquet_sink import ParquetSink
from rdr_qdrant.ingest.cancellation import Cancellation
from rdr_qdrant.ingest.counters import Counters
from rdr_qdrant.ingest.job import IngestJob
from rdr_qdrant.ingest.partitions import PartitionReader, ReadOptions, partition_of
from rdr_qdrant.ingest.passage_encoder import PassageEncoder
from rdr_qdrant.ingest.reject_counter import RejectCounter
from rdr_qdrant.ingest.thread_executor import ThreadExecutor
from rdr_qdrant.readers import PassageSource, RejectHandler, open_sources
from rdr_qdrant.splitter import SplitSettings

SHARD_SIZE = 16_384
"""Passages of a shard: 50 MB of vectors at 768 numbers."""


@dataclass(kw_only=True)
class ShardEncoder:
    """Encodes passages into a folder of Parquet files, which `ShardFolder` hands to a loader.

    A shard is there whole or not at all. The same encoding again reads its sources from the start,
    but does not encode again what is in finished shards: a stop loses nothing, and a kill about
    the last two minutes, or two batches if those take longer. A shard that is missing or damaged is
    rebuilt. Rows that were appended to the last source go into further shards; other changes of the
    sources, other options or another encoder are refused.

    Args:
        embeddings: the pair whose context encoder makes the vectors.
        folder: where to; created if it does not exist.
        shard_size: most passages of a shard.
        vectors: `float32`, or `float16` for half the size and vectors rounded to 11 bits. Points
            that were loaded from those stay so: a later load of float32 finds them unchanged.
        batch_size: passages that are encoded at a time; a row group of the file. By default 256 on
            a CPU and 4,096 on a GPU.
        on_reject: called with each row that cannot be used; on resuming again. Without it a
            warning counts them.
        on_progress: called with the report so far after each batch.

    Example:
        >>> from rdr_qdrant import QdrantLoader, ShardEncoder, ShardFolder
        >>> from rdr_qdrant.readers import open_source
        >>> encoder = ShardEncoder(embeddings=embeddings, folder="shards")  # doctest: +SKIP
        >>> encoder.encode_sources([open_source("passages.tsv")])  # doctest: +SKIP
        >>> shards = ShardFolder("shards")  # doctest: +SKIP
        >>> loader = QdrantLoader(  # doctest: +SKIP
        ...     embeddings=shards.vectors(), client=client, collection_name="wiki"
        ... )
        >>> loader.load_sources(shards.sources())  # doctest: +SKIP
    """

    embeddings: PassageEncoder
    folder: str | Path
    shard_size: int = SHARD_SIZE
    vectors: Literal["float32", "float16"] = "float32"
    batch_size: int | None = None
    on_reject: RejectHandler | None = None
    on_progress: Callable[[EncodeReport], None] | None = None

    _cancellation: Cancellation = field(init=False, repr=False, default_factory=Cancellation)

    def encode_sources(
        self,
        sources: Sequence[PassageSource | str | Path],
        *,
        split: int | SplitSettings | None = None,
    ) -> EncodeReport:
        """Encode files, folders of documents or streams, one after the other.

        Args:
            sources: paths, or what `open_source` returns.
            split: how to split rows and documents, see `QdrantLoader.load_sources`.

        Raises:
            SourceError: there is no row at all, or none that can be used, or a source changed since
                the folder was begun.
            UsageError: the folder was begun with other sources, other options or another encoder.
            ModelError: the encoders cannot be loaded.
            OutputError: the folder cannot be written, or holds other files.
            RDRQdrantError: pyarrow is not installed.
        """
        need_pyarrow()
        opened = open_sources(sources)
        names = [source.name for source in opened]
        options = ReadOptions.of(opened, split, self.embeddings)
        partitions = [partition_of(source, options) for source in opened]
        rejects = RejectCounter(self.on_reject)
        job = IngestJob(
            reader=PartitionReader(partitions, self.batch_size, self._cancellation),
            encoder=self.embeddings,
            sink=ParquetSink(
                folder=Path(self.folder),
                encoder=self.embeddings,
                sources=opened,
                split=options.record_of(opened),
                shard_size=self.shard_size,
                vectors=self.vectors,
            ),
            executor=ThreadExecutor(),
            counters=Counters(),
            cancellation=self._cancellation,
            on_reject=rejects,
            on_progress=self.on_progress,
        )
        report = job.run()
        if report.read == report.rejected and not report.interrupted:
            where = ", ".join(names)
            if report.read == 0:
                raise SourceError(f"{where} holds no passages: there is nothing to encode.")
            raise SourceError(
                f"None of the {report.read:,} rows and documents of {where} can be used: nothing "
                f"was encoded.{rejects.summary_unless_handled()}"
            )
        rejects.warn_unless_handled()
        return report

    def stop(self) -> bool:
        """Ask it to end after the current batch; see `QdrantLoader.stop`."""
        return self._cancellation.request()
