"""The partitions that a job reads, each in this process or in another one in its place."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from rdr_qdrant.errors import RDRQdrantError
from rdr_qdrant.ingest.cancellation import Cancellation
from rdr_qdrant.ingest.passage_encoder import PassageEncoder
from rdr_qdrant.ingest.records import RecordBatch, SourceRecord
from rdr_qdrant.readers import (
    DocumentSource,
    PassageSource,
    Quoting,
    Reject,
    RejectHandler,
    open_source,
)
from rdr_qdrant.readers.documents import StoredDocumentLookup
from rdr_qdrant.splitter import SplitRecord, SplitSettings, Splitter, part_id, text_and_number

ReadRecords = Callable[[RejectHandler], Iterable[SourceRecord]]

FIRST_BATCH = 256
"""Records read before the encoder is known."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How the texts of a source are split, and its passages named.

    Attributes:
        splitter: splits documents, and rows if `split_rows`.
        split_rows: false leaves rows whole.
        id_prefix: put before each id.
    """

    splitter: Splitter = field(default_factory=lambda: Splitter(SplitSettings()))
    split_rows: bool = False
    id_prefix: str = ""

    @classmethod
    def of(
        cls,
        sources: Sequence[PassageSource],
        split: int | SplitSettings | None,
        encoder: PassageEncoder,
        id_prefix: str = "",
    ) -> ReadOptions:
        """Options of a load.

        Args:
            sources: of the load.
            split: how rows and documents are split; a number of words is that of whole sentences.
                `None` leaves rows whole, and splits documents by `SplitSettings()`.
            encoder: counts tokens, so that no part is truncated.
            id_prefix: put before each id.

        Raises:
            UsageError: the number is out of its range.
        """
        settings = SplitSettings(split) if isinstance(split, int) else split or SplitSettings()
        splits = split is not None or any(isinstance(one, DocumentSource) for one in sources)
        tokens = encoder.token_counter() if splits and settings.by == "sentences" else None
        return cls(Splitter(settings, tokens), split is not None, id_prefix)

    def record_of(self, sources: Sequence[PassageSource]) -> SplitRecord:
        """How these sources are split; an encoded folder says how it was."""
        record = SplitRecord()
        for source in sources:
            if source.split is not None:
                record |= source.split
            elif isinstance(source, DocumentSource):
                record |= SplitRecord(documents=(self.splitter.settings,))
            else:
                record |= SplitRecord(rows=(self.splitter.settings if self.split_rows else None,))
        return record


@dataclass(frozen=True, slots=True)
class FilePartition:
    """A file of rows that any process of this machine can read from its start.

    Attributes:
        path: the file.
        name: the name that the user gave it.
        options: how it is read.
        quoting: see `open_source`.
    """

    path: Path
    name: str
    options: ReadOptions
    quoting: Quoting = "csv"

    def open(self) -> Partition:
        """The partition, at its start.

        Raises:
            SourceError: see `open_source`; it names the file as the user did.
        """
        try:
            source = open_source(self.path, self.name, quoting=self.quoting)
            return partition_of(source, self.options)
        except RDRQdrantError as error:
            raise self.with_given_name(error) from None

    def with_given_name(self, error: RDRQdrantError) -> RDRQdrantError:
        """An error of this file, by the name that the user gave."""
        return type(error)(str(error).replace(str(self.path), self.name))


@dataclass(frozen=True, slots=True)
class Partition:
    """A source, or an iterable of passages.

    Attributes:
        name: the name that the user gave it.
        read: reads it in this process.
        source: the source; `None` for an iterable.
        file: how another process can read it; `None` if none can.
    """

    name: str
    read: ReadRecords
    source: PassageSource | None = None
    file: FilePartition | None = None


def partition_of(
    source: PassageSource,
    options: ReadOptions,
    stored_documents: StoredDocumentLookup | None = None,
) -> Partition:
    """A source as a partition.

    Args:
        source: from `open_source`.
        options: how it is read.
        stored_documents: gives the passages of documents that need not be converted again.
    """

    def read(reject: RejectHandler) -> Iterator[SourceRecord]:
        return _records_of_source(source, reject, options, stored_documents)

    path = source.path
    file = None
    if path:
        file = FilePartition(path.absolute(), source.name, options, source.quoting)
    return Partition(source.name, read, source, file)


def read_batches(
    number: int, partition: Partition, size: Callable[[], int]
) -> Generator[RecordBatch, None, None]:
    """The records of a partition, `size()` at a time; the same batches at each reading.

    Errors of the source end the last batch; other exceptions are raised.
    """
    rejects: list[Reject] = []
    records = iter(partition.read(rejects.append))
    done = False
    while not done:
        batch: list[SourceRecord] = []
        error = None
        try:
            wanted = size()
            batch.extend(islice(records, wanted))
            done = len(batch) < wanted
        except RDRQdrantError as failure:
            error, done = failure, True
        if batch or rejects or error:
            source = partition.source
            yield RecordBatch(
                number,
                batch,
                tuple(rejects),
                source.records_read if source else 0,
                source.fraction_read() if source else None,
                error=error,
            )
        rejects.clear()


class PartitionReader:
    """Reads the partitions of a job in this process, one after the other.

    Args:
        partitions: in their order.
        batch_size: records of a batch; `None`: at first `FIRST_BATCH`, then each batch is twice as
            large as the one before, up to the size of `use_batch_size`. So an encoder that takes
            many at a time can begin with few.
        cancellation: reading may be interrupted.
        files_read_elsewhere: other processes read the partitions that are files.

    Attributes:
        rows_taken: records and rejects handed out so far.
    """

    def __init__(
        self,
        partitions: Sequence[Partition],
        batch_size: int | None,
        cancellation: Cancellation,
        *,
        files_read_elsewhere: bool = False,
    ) -> None:
        self.partitions = partitions
        self.batch_size = batch_size or FIRST_BATCH
        self._is_fixed = batch_size is not None
        self._next_size = self.batch_size
        self.rows_taken = 0
        self._cancellation = cancellation
        self._files_read_elsewhere = files_read_elsewhere
        self._generators = [
            read_batches(number, partition, self._size_of_next)
            for number, partition in enumerate(partitions)
        ]
        self._batches: dict[int, Iterator[RecordBatch]] = dict(enumerate(self._generators))

    def use_batch_size(self, encoder: PassageEncoder) -> None:
        """Let batches grow to the size that suits the encoder, unless their size is fixed."""
        if not self._is_fixed:
            self.batch_size = encoder.passages_at_a_time()

    def close(self) -> None:
        """Stop reading, and close the files."""
        for generator in self._generators:
            generator.close()

    def is_read_elsewhere(self, number: int) -> bool:
        """True if another process reads this partition."""
        return self._files_read_elsewhere and self.partitions[number].file is not None

    def probe_first_record(self, apply: Callable[[RecordBatch], None]) -> bool:
        """Read ahead to the first record that can be used; true if there is one.

        Args:
            apply: called with each batch before it, which holds rejects alone; batches of
                partitions that are read elsewhere are dropped, since they are read again there.
        """
        for number in self._batches:
            for batch in self._interruptible(self._batches[number]):
                if batch.records or batch.error:
                    self._batches[number] = chain([batch], self._batches[number])
                    return bool(batch.records)
                if not self.is_read_elsewhere(number):
                    self.rows_taken += len(batch.rejects)
                    apply(batch)
        return False

    def batches(self, number: int | None = None) -> Iterator[RecordBatch]:
        """The batches of one partition, or of all of them in their order.

        Raises:
            JobCancelled: the job was asked to stop.
        """
        numbers = range(len(self.partitions)) if number is None else [number]
        for one in numbers:
            for batch in self._interruptible(self._batches[one]):
                self.rows_taken += len(batch.records) + len(batch.rejects)
                yield batch

    def _size_of_next(self) -> int:
        size = min(self._next_size, self.batch_size)
        self._next_size = 2 * size
        return size

    def _interruptible(self, batches: Iterator[RecordBatch]) -> Iterator[RecordBatch]:
        while True:
            with self._cancellation.allow_interrupt():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


def _records_of_source(
    source: PassageSource,
    reject: RejectHandler,
    options: ReadOptions,
    stored_documents: StoredDocumentLookup | None,
) -> Iterator[SourceRecord]:
    if isinstance(source, DocumentSource):
        numbered = source.enumerate_passages(
            reject, splitter=options.splitter, stored_lookup=stored_documents
        )
    elif options.split_rows:
        numbered = (
            (line, part)
            for line, passage in source.enumerate_passages(reject)
            for part in options.splitter.split_passage(passage)
        )
    else:
        numbered = source.enumerate_passages(reject)
    are_documents = isinstance(source, DocumentSource)
    are_parts = options.split_rows or are_documents
    for line, passage in numbered:
        if options.id_prefix:
            passage = replace(passage, id=options.id_prefix + passage.id)
        first_part = None
        if are_parts and (found := text_and_number(passage.id)) and found[1] > 1:
            first_part = part_id(found[0], 1), 1 if are_documents else line
        yield SourceRecord(passage, source.name, line, first_part)
