"""`QdrantLoader`: a load and its two ways in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rdr_qdrant.collection import Collection
from rdr_qdrant.errors import SourceError, UsageError
from rdr_qdrant.ingest.document_cache import StoredDocuments, counted
from rdr_qdrant.ingest.job import Pruning, Run
from rdr_qdrant.ingest.options import LoadSettings
from rdr_qdrant.ingest.partitions import Part, part_of
from rdr_qdrant.ingest.records import ITERABLE, rows_of_passages
from rdr_qdrant.ingest.report import LoadReport
from rdr_qdrant.passages import Passage
from rdr_qdrant.readers import PassageSource
from rdr_qdrant.readers.jsonlines import STDIN

if TYPE_CHECKING:
    from langchain_core.documents import Document


@dataclass(kw_only=True)
class QdrantLoader(LoadSettings):
    """Loads passages into a dot-product collection, which it creates where there is none.

    The collection is the only record: whatever ended a load, the same load again goes on. Two
    loads into one collection at once are safe. At its end a load is verified: every point of it is
    looked for, and a random sample is read back and compared.

    Args:
        embeddings: the pair whose context encoder makes the vectors.
        client: from `connect`, or any `QdrantClient`.
        collection_name: where to. An existing collection must fit the pair; it is never altered.
        batch_size: passages that are looked up, and sorted by length for the encoder, at a time.
        vector_name: a named vector; `""` is the unnamed one.
        allow_unverified: use a collection that does not say which encoders made it.
        recreate: delete the collection first, once the encoders and the first row are there.
        dry_run: write nothing; the report says what would be done. Where the collection exists,
            its context encoder is loaded, for its identity is part of each content hash.
        retry_for: seconds for which a call that fails for a passing reason is made again.
        on_reject: called with each passage or row that is set aside.
        on_progress: called with the report so far after each batch.
        on_retry: called before a call is made again, with what happened and the seconds to wait.
        index: build an embedded collection's index after the load, where that pays.
        on_indexing: called a few times a second while it is built, with the seconds so far.
        collection_settings: how a collection is laid out that the load creates; an existing one
            keeps its own, and where they differ that is said.
        bulk: let a server put off index building until the end of the load, for a load that nobody
            searches meanwhile; then wait until the index is built (of shards with replicas a server
            tells of one of each). It is put off right before the first point is written. If the
            load ends before its end, the next one switches it on; so does another load that ends
            while this one goes on, bulk or not: then the index is built beside it, which costs only
            time.
        swap_alias: `collection_name` is an alias. Load into a new collection (`wiki-2` for `wiki`),
            and when all of it is there, verified and indexed (of replicas: as with `bulk`), put the
            alias on it in one step.
            Until then nothing changes for those who search; the same load again goes on, one of
            other sources, encoders or settings begins another new collection. What `load` is given
            has no name: two such loads with the same pair and settings are one to it.
        drop_old: then delete the collection that the alias stood for before.
        on_server_indexing: called twice a second while a server's index is waited for, with the
            vectors in it and the points in all.
        engine: reads, encodes and writes in other processes; by default threads of this one do.
    """

    def load(self, passages: Iterable[Passage | Document]) -> LoadReport:
        """Load passages or LangChain documents, lazily, in batches; memory does not grow.

        Points that already hold the same title and text, encoded alike, are not encoded again. Of
        two passages with one id and different content, the second is set aside.

        Raises:
            CollectionError: the collection does not fit the pair, or is to be recreated and does
                not say that we made it.
            ModelError: the context encoder cannot be loaded.
            StoreError: Qdrant does not answer for longer than `retry_for`, or refuses.
            VerificationError: what is there afterwards is not what was sent.
        """
        part = Part(ITERABLE, lambda reject, _: rows_of_passages(passages, reject))
        return self._load([part])

    def load_sources(
        self,
        sources: Sequence[PassageSource],
        *,
        split: int | None = None,
        id_prefix: str = "",
        prune: bool = False,
    ) -> LoadReport:
        """Load files, folders of documents or streams, one after the other.

        Rows and documents that cannot be used are set aside. A document whose bytes, converter and
        passages are as the collection has them is not converted again.

        Args:
            sources: from `open_source`.
            split: cut each passage at every that many words; documents are cut at every 100 where
                it is `None`.
            id_prefix: put before each id, so that sources with like ids can share a collection.
            prune: afterwards, remove points whose `metadata["source"]` is one of these sources
                (and whose ids begin with the prefix) that the sources no longer have. Not done
                (`removed` is `None`) after an interruption, nor where a row could not be read,
                since its id is not known; never for a source without any row. Of a document that
                could not be read all points are kept.

        Raises:
            SourceError: there is no row at all, or none that can be used; nothing was written.
            UsageError: a stream is to be pruned: nothing tells one from another; or options
                contradict each other.
        """
        names = [source.name for source in sources]
        if prune and STDIN in names:
            raise UsageError("Standard input cannot be pruned: two streams have the same name.")

        def recall(collection: Collection) -> StoredDocuments:
            return StoredDocuments(self, collection, id_prefix)

        parts = [part_of(source, split, id_prefix, recall) for source in sources]
        origin = {"sources": names, "split": split, "id_prefix": id_prefix}
        report = self._load(parts, Pruning(sources, id_prefix) if prune else None, origin)
        report = replace(report, documents=counted(sources))
        if report.read == report.rejected and not report.interrupted:
            where = ", ".join(names)
            what = "rows and documents" if report.documents else "rows"
            if report.read == 0:
                raise SourceError(f"{where} holds no passages: there is nothing to load.")
            raise SourceError(
                f"None of the {report.read:,} {what} of {where} can be used: nothing was written."
            )
        return report

    def stop(self) -> bool:
        """Ask the load to end after the batch in hand; from another thread or a signal handler.

        A stopped loader stays stopped; what goes on is another with the same settings.

        Returns:
            Whether it is waiting, for its input or for the encoders to load: then a signal handler
            may break it off by raising `KeyboardInterrupt`.
        """
        self.stopping.asked.set()
        return self.stopping.waiting

    def _load(
        self,
        parts: Sequence[Part],
        pruning: Pruning | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> LoadReport:
        if self.swap_alias and (self.recreate or pruning):
            what = "--recreate (recreate)" if self.recreate else "--prune (prune)"
            raise UsageError(
                f"{what} and --swap-alias (swap_alias) contradict each other: behind the alias "
                "comes a new collection with exactly what this load reads. Leave one out."
            )
        if self.drop_old and not self.swap_alias:
            raise UsageError("--drop-old (drop_old) goes with --swap-alias (swap_alias) alone.")
        return Run(self, parts, pruning, origin or {}).report()
