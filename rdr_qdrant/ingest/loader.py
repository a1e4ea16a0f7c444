"""`QdrantLoader`: passages and sources into a collection."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import RETRY_FOR_SECONDS
from rdr_qdrant.collection import CollectionSettings
from rdr_qdrant.errors import SourceError, UsageError
from rdr_qdrant.ingest.cancellation import Cancellation
from rdr_qdrant.ingest.counters import Counters
from rdr_qdrant.ingest.document_cache import document_counts
from rdr_qdrant.ingest.executor import Executor
from rdr_qdrant.ingest.input_validation import ITERABLE, records_of_passages
from rdr_qdrant.ingest.job import IngestJob
from rdr_qdrant.ingest.leftover_parts import Splitting
from rdr_qdrant.ingest.partitions import (
    Partition,
    PartitionReader,
    ReadOptions,
    partition_of,
)
from rdr_qdrant.ingest.passage_encoder import PassageEncoder
from rdr_qdrant.ingest.prune import Pruning
from rdr_qdrant.ingest.qdrant_sink import CollectionTarget, IndexingHandlers, QdrantSink
from rdr_qdrant.ingest.reject_counter import RejectCounter
from rdr_qdrant.ingest.report import LoadReport, ProgressHandler
from rdr_qdrant.ingest.thread_executor import ThreadExecutor
from rdr_qdrant.passages import Passage
from rdr_qdrant.readers import PassageSource, RejectHandler, open_sources, source_changes
from rdr_qdrant.readers.jsonlines import STDIN
from rdr_qdrant.splitter import SplitSettings

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from qdrant_client import QdrantClient

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class QdrantLoader:
    """Loads passages into a dot-product collection, which it creates if there is none.

    The collection is the only record: however a load ended, the same load again resumes it. Two
    loads into one collection at a time are safe. At its end a load is verified: every point of it
    is looked up, and a random sample is read back and compared.

    Args:
        embeddings: the pair whose context encoder makes the vectors.
        client: from `connect`, or any `QdrantClient`.
        collection_name: where to. An existing collection must fit the pair; it is never altered.
        batch_size: passages that are looked up, and sorted by length for the encoder, at a time;
            by default 256 for an encoder on a CPU and 4,096 on a GPU.
        vector_name: a named vector; `""` is the unnamed one.
        allow_unverified: use a collection that does not say which encoders made it.
        allow_resplit: load into a collection whose texts were split otherwise.
        recreate: delete the collection first, once the encoders are loaded and there is a record.
        dry_run: write nothing; the report says what would be done. If the collection exists, the
            context encoder's identity is needed, since it is part of each content hash: it is
            loaded, unless a load on this machine has noted its identity.
        retry_for: seconds for which a call is retried after a transient failure.
        on_reject: called with each row or passage that cannot be used.
        on_progress: called with the report so far after each batch.
        on_retry: called before a call is retried, with the reason and the seconds until then.
        index: build an embedded collection's index after the load, where that pays.
        on_indexing: called a few times a second while it is built, with the seconds so far.
        collection_settings: settings of a collection that the load creates; an existing one
            keeps its own, and differences are logged.
        bulk: disable a server's index building during the load, for a load that nobody searches
            meanwhile, then wait until the index is built (of shards with replicas, a server
            reports on one of each). Indexing is disabled before the first write and enabled when
            the load finishes, or by the next load if this one fails.
        swap_alias: `collection_name` is an alias. Load into a new collection (`wiki-2` for `wiki`),
            and once it is complete, verified and indexed (of replicas: as with `bulk`), point the
            alias at it in one step. Until then nothing changes for searches; the same load again
            resumes, one of other sources, encoders or settings begins another new collection.
            Iterables given to `load` have no name: two such loads with the same pair and settings
            count as the same.
        drop_old: then delete the collection that the alias stood for before.
        on_server_indexing: called twice a second while a server's index is waited for, with the
            number of indexed vectors and of points.
        executor: reads, embeds and writes in other processes (`RayExecutor`); by default threads
            of this one do.
    """

    embeddings: PassageEncoder
    client: QdrantClient
    collection_name: str
    batch_size: int | None = None
    vector_name: str = ""
    allow_unverified: bool = False
    allow_resplit: bool = False
    recreate: bool = False
    dry_run: bool = False
    retry_for: float = RETRY_FOR_SECONDS
    on_reject: RejectHandler | None = None
    on_progress: ProgressHandler | None = None
    on_retry: Callable[[str, float], None] | None = None
    index: bool = True
    on_indexing: Callable[[float], None] | None = None
    collection_settings: CollectionSettings | None = None
    bulk: bool = False
    swap_alias: bool = False
    drop_old: bool = False
    on_server_indexing: Callable[[int, int], None] | None = None
    executor: Executor | None = None

    _cancellation: Cancellation = field(init=False, repr=False, default_factory=Cancellation)

    def load(self, passages: Iterable[Passage | Document]) -> LoadReport:
        """Load passages or LangChain documents, lazily, in batches; memory does not grow.

        Points that already hold the same title and text, encoded alike, are not encoded again. Of
        two passages with one id and different content, the second is rejected. Items that cannot
        be stored are rejected: with `on_reject` each is reported, without it a warning counts them
        and gives the first reason.

        Raises:
            SourceError: there are passages, but none that can be used.
            CollectionError: the collection does not fit the pair, or is to be recreated and does
                not say that we made it.
            ModelError: the context encoder cannot be loaded.
            StoreError: Qdrant does not answer for longer than `retry_for`, or refuses.
            VerificationError: the collection does not hold what was sent.
        """
        partition = Partition(ITERABLE, lambda reject: records_of_passages(passages, reject))
        rejects = RejectCounter(self.on_reject)
        sink = self._sink()
        report = self._job(sink, [partition], rejects).run()
        if report.read and report.read == report.rejected and not report.interrupted:
            raise SourceError(
                f"None of the {report.read:,} passages can be used: {_nothing_loaded(sink)}. "
                f"{rejects.summary()}."
            )
        rejects.warn_unless_handled()
        return report

    def load_sources(
        self,
        sources: Sequence[PassageSource | str | Path],
        *,
        split: int | SplitSettings | None = None,
        id_prefix: str = "",
        prune: bool = False,
    ) -> LoadReport:
        """Load files, folders of documents or streams, one after the other.

        Rows and documents that cannot be used are rejected. A document whose bytes, converter and
        passages are unchanged in the collection is not converted again.

        Args:
            sources: paths, or what `open_source` returns.
            split: how to split rows and documents: a number of words, up to which whole sentences
                are packed, or `SplitSettings`. `None` leaves rows whole, and splits documents by
                `SplitSettings()`. Parts of a text that it no longer has are deleted.
            id_prefix: put before each id, so that sources with like ids can share a collection.
            prune: afterwards, delete points whose `metadata["source"]` is one of these sources
                (and whose ids begin with the prefix) that the sources no longer have. Not done
                (`removed` is `None`) after an interruption, or if a row could not be read, since
                its id is not known, or if a source changed while it was read; never for a source
                without any row. All points of a document
                that could not be read are kept.

        Raises:
            SourceError: there is no row at all, or none that can be used; nothing was loaded.
            UsageError: standard input is to be pruned, or options contradict each other.
            CollectionError: as `load`, or texts of the collection were split otherwise.
        """
        opened = open_sources(sources)
        names = [source.name for source in opened]
        if prune and STDIN in names:
            raise UsageError("Standard input cannot be pruned: two streams have the same name.")
        options = ReadOptions.of(opened, split, self.embeddings, id_prefix)
        record = options.record_of(opened)
        origin = {"sources": names, "split": record.to_json(), "id_prefix": id_prefix}
        sink = self._sink(
            Pruning(opened, id_prefix) if prune else None,
            origin,
            Splitting(opened, record, id_prefix),
        )
        stored = sink.stored_documents(id_prefix)
        partitions = [partition_of(source, options, stored) for source in opened]
        rejects = RejectCounter(self.on_reject)
        report = self._job(sink, partitions, rejects).run()
        report = replace(
            report, documents=document_counts(opened), changed_sources=source_changes(opened)
        )
        for change in report.changed_sources:
            logger.warning("%s. Nothing is pruned; run the same command again", change)
        if report.read == report.rejected and not report.interrupted:
            where = ", ".join(names)
            what = "rows and documents" if report.documents else "rows"
            if report.read == 0:
                raise SourceError(f"{where} holds no passages: there is nothing to load.")
            raise SourceError(
                f"None of the {report.read:,} {what} of {where} can be used: "
                f"{_nothing_loaded(sink)}.{rejects.summary_unless_handled()}"
            )
        rejects.warn_unless_handled()
        return report

    def stop(self) -> bool:
        """Ask the load to end after the current batch; from another thread or a signal handler.

        A stopped loader stays stopped; to resume, use another one with the same settings.

        Returns:
            True if it waits for its input or for the encoders to load: then a signal handler
            may break it off by raising `KeyboardInterrupt`.
        """
        return self._cancellation.request()

    def _sink(
        self,
        pruning: Pruning | None = None,
        origin: Mapping[str, Any] | None = None,
        splitting: Splitting | None = None,
    ) -> QdrantSink:
        if self.swap_alias and (self.recreate or pruning):
            what = "--recreate (recreate)" if self.recreate else "--prune (prune)"
            raise UsageError(
                f"{what} and --swap-alias (swap_alias) contradict each other: behind the alias "
                "comes a new collection with exactly what this load reads. Leave one out."
            )
        if self.drop_old and not self.swap_alias:
            raise UsageError("--drop-old (drop_old) works only with --swap-alias (swap_alias).")
        target = CollectionTarget(
            client=self.client,
            collection_name=self.collection_name,
            vector_name=self.vector_name,
            settings=self.collection_settings,
            allow_unverified=self.allow_unverified,
            allow_resplit=self.allow_resplit,
            recreate=self.recreate,
            dry_run=self.dry_run,
            bulk=self.bulk,
            swap_alias=self.swap_alias,
            drop_old=self.drop_old,
            index=self.index,
            retry_for=self.retry_for,
        )
        return QdrantSink(
            target=target,
            encoder=self.embeddings,
            origin=origin or {},
            pruning=pruning,
            splitting=splitting,
            on_retry=self.on_retry,
            handlers=IndexingHandlers(
                on_indexing=self.on_indexing, on_server_indexing=self.on_server_indexing
            ),
            cancellation=self._cancellation,
        )

    def _job(
        self, sink: QdrantSink, partitions: Sequence[Partition], on_reject: RejectHandler
    ) -> IngestJob[LoadReport]:
        executor = self.executor
        if executor is None or self.dry_run:
            executor = ThreadExecutor()
        reader = PartitionReader(
            partitions,
            self.batch_size,
            self._cancellation,
            files_read_elsewhere=executor.reads_files,
        )
        return IngestJob(
            reader=reader,
            encoder=self.embeddings,
            sink=sink,
            executor=executor,
            counters=Counters(),
            cancellation=self._cancellation,
            on_reject=on_reject,
            on_progress=self.on_progress,
            on_retry=self.on_retry,
        )


def _nothing_loaded(sink: QdrantSink) -> str:
    if sink.was_recreated:
        return f"nothing was loaded, and {sink.collection.name!r}, which was recreated, is empty"
    return "nothing was loaded"
