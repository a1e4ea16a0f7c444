"""`ShardEncoder`: sources into a folder of shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rdr_qdrant.export.export_job import Encoding
from rdr_qdrant.export.export_report import EncodeReport
from rdr_qdrant.export.export_settings import EncodeSettings
from rdr_qdrant.readers import PassageSource


@dataclass(kw_only=True)
class ShardEncoder(EncodeSettings):
    """Encodes passages into a folder of Parquet files, which `ShardFolder` hands to a loader.

    A shard is there whole or not at all. The same encoding again reads its sources from the start,
    but does not encode again what was encoded: each batch is written as soon as it is ready, so
    that a kill loses the batch in hand. A shard that is missing or damaged is made anew. It refuses
    where the sources, the options or the encoder are not those it was begun with.

    Args:
        embeddings: the pair whose context encoder makes the vectors.
        folder: where to; made where it is not there.
        shard_size: passages of a shard.
        vectors: `float32`, or `float16` for half the size and vectors rounded to 11 bits. Points
            that were loaded from those stay so: to a later load of float32 they are unchanged.
        batch_size: passages that are encoded at a time; a row group of the file.
        on_reject: called with each row that is set aside; on going on with those of before too.
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

    def encode_sources(
        self, sources: Sequence[PassageSource], *, split: int | None = None
    ) -> EncodeReport:
        """Encode files, folders of documents or streams, one after the other.

        Args:
            sources: from `open_source`.
            split: cut each passage at every that many words; documents are cut at every 100 where
                it is `None`.

        Raises:
            SourceError: there is no row at all, or none that can be used, or a source changed since
                the folder was begun.
            UsageError: the folder was begun with other sources, other options or another encoder.
            ModelError: the encoders cannot be loaded.
            OutputError: the folder cannot be written, or holds other things.
        """
        return Encoding(self, sources, split).report()

    def stop(self) -> bool:
        """Ask it to end after the batch in hand; see `QdrantLoader.stop`."""
        self.stopping.asked.set()
        return self.stopping.waiting
