"""A document, or a folder of documents, as a source of passages."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path, PurePath
from typing import Any

from rdr_qdrant.errors import SourceError
from rdr_qdrant.passages import Passage
from rdr_qdrant.readers.base import PassageSource
from rdr_qdrant.readers.documents.document import ConvertedDocument, DocumentError
from rdr_qdrant.readers.documents.document_files import (
    FolderListing,
    list_folder,
    open_document,
    sha256_of,
)
from rdr_qdrant.readers.documents.formats import (
    DOCUMENT_EXTENSIONS,
    DocumentFormat,
    document_format,
)
from rdr_qdrant.readers.documents.sandbox import DocumentConverter
from rdr_qdrant.readers.file_io import FileState, is_same_file
from rdr_qdrant.readers.rejects import Reject, RejectHandler
from rdr_qdrant.splitter import OVERLAP_KEY, SplitSettings, Splitter, part_id

PAGE_BREAK = "\n\n"
"""Between pages, unless a sentence continues."""

logger = logging.getLogger(__name__)

StoredDocumentLookup = Callable[[str, Mapping[str, Any]], Sequence[Passage] | None]
"""Returns the stored passages of a document that has not changed, or `None` to convert it.

Called with its path and the metadata that all its passages share."""


@dataclass
class DocumentCounts:
    """Documents counted by outcome.

    Attributes:
        files: documents found.
        converted: documents converted now.
        incomplete: those of them that show more than their text says, with a warning for each.
        unchanged: documents whose passages are stored already, so that they were not converted.
        rejected: rejected documents, and folders that could not be listed.
        others: files of other formats and symbolic links, which are not read, by extension.
    """

    files: int = 0
    converted: int = 0
    unchanged: int = 0
    rejected: int = 0
    others: Mapping[str, int] = field(default_factory=dict)
    incomplete: int = 0

    def __add__(self, other: DocumentCounts) -> DocumentCounts:
        return DocumentCounts(
            self.files + other.files,
            self.converted + other.converted,
            self.unchanged + other.unchanged,
            self.rejected + other.rejected,
            dict(Counter(self.others) + Counter(other.others)),
            self.incomplete + other.incomplete,
        )


class DocumentSource(PassageSource):
    """Documents split into passages with the ids `PATH#1`, `PATH#2` and so on.

    Metadata of a passage: `source` (name of the source), `path` (within the folder), `page`
    (on which it begins, if the format has pages), `position` (from 1) and `passages` (number of
    passages of the document), `content_type`, `file_digest` (SHA-256 of the file), `converter`
    (with versions), `words` (per passage), `split_by` (`sentences`; absent for blocks) and
    `split_overlap` (words, if passages overlap), `heading` (that it begins with or stands under,
    if the format has headings), `overlap` (characters that repeat the passage before).

    Args:
        name: name that the user gave.
        folder: folder that paths are relative to.
        listing: the documents in it.
        follow_symlinks: accept a document that is a symbolic link.

    Attributes:
        counts: documents by outcome so far.
        rejected_paths: paths of rejected documents, and of unlistable folders with a final slash.

    Raises:
        SourceError: a package that a document needs is not installed.
    """

    def __init__(
        self, name: str, folder: Path, listing: FolderListing, *, follow_symlinks: bool = False
    ) -> None:
        super().__init__(name, sum(state.size for state in listing.files.values()))
        self._folder = folder
        self._listing = listing
        self._follow_symlinks = follow_symlinks
        self._bytes_done = 0
        self.counts = DocumentCounts(len(listing.files), others=dict(listing.others))
        self.rejected_paths: set[str] = set()
        self._converter_versions: dict[DocumentFormat, str] = {}
        for path in listing.files:
            kind = document_format(path)
            if kind and kind not in self._converter_versions:
                self._converter_versions[kind] = kind.converter_version(path)

    def enumerate_passages(
        self,
        reject: RejectHandler,
        *,
        splitter: Splitter | None = None,
        stored_lookup: StoredDocumentLookup | None = None,
    ) -> Iterator[tuple[int, Passage]]:
        """Yield each passage with its number (from 1) in its document.

        Args:
            reject: called for each rejected document, and each folder that cannot be listed.
            splitter: makes the passages; by default `Splitter(SplitSettings())`.
            stored_lookup: called for each document before it is converted.
        """
        splitter = splitter or Splitter(SplitSettings())
        for subfolder, error in sorted(self._listing.unreadable.items()):
            self._reject(reject, f"{subfolder}/", f"folder cannot be listed: {error}")
        with DocumentConverter() as converter:
            for path, state in self._listing.files.items():
                try:
                    passages = self._read_document(path, splitter, stored_lookup, converter)
                except DocumentError as error:
                    self._reject(reject, path, str(error))
                else:
                    for number, passage in enumerate(passages, start=1):
                        self.records_read += 1
                        yield number, passage
                self._bytes_done += state.size

    def fraction_read(self) -> float | None:
        """Return the fraction read so far, by bytes of all documents."""
        return self._bytes_done / self.size if self.size else 1.0

    @property
    def paths(self) -> Iterable[str]:
        """The paths of the documents, the beginnings of their passages' ids."""
        return self._listing.files.keys()

    def includes_file(self, path: Path) -> bool:
        """Return whether the file is one of the documents."""
        return any(is_same_file(self._folder / file, path) for file in self._listing.files)

    def changed_while_read(self) -> str | None:
        """Return which documents changed, appeared or disappeared since the listing, or `None`."""
        before = self._listing.files
        if self._follow_symlinks:
            [(path, state)] = before.items()
            change = state.change_to(self._folder / path)
            return f"{self.name} changed while it was read: it {change}" if change else None
        now = list_folder(self._folder).files
        changes = [f"{path} was deleted" for path in before.keys() - now.keys()]
        changes += [f"{path} was added" for path in now.keys() - before.keys()]
        for path in before.keys() & now.keys():
            if change := before[path].difference(now[path]):
                changes.append(f"{path} {change}")
        if not changes:
            return None
        more = f" (and {len(changes) - 1:,} more changes)" if len(changes) > 1 else ""
        return f"{self.name} changed while it was read: {min(changes)}{more}"

    def _read_document(
        self,
        path: str,
        splitter: Splitter,
        stored_lookup: StoredDocumentLookup | None,
        converter: DocumentConverter,
    ) -> Sequence[Passage]:
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            raise DocumentError("its name is not valid UTF-8") from None
        file = self._folder / path
        with open_document(file, follow_symlinks=self._follow_symlinks) as stream:
            digest = sha256_of(stream)
        if stored_lookup:
            shared = self._shared_metadata(path, digest, splitter.settings)
            stored = stored_lookup(path, shared)
            if stored is not None:
                self.counts.unchanged += 1
                return stored
        digest, document = converter.convert(file, follow_symlinks=self._follow_symlinks)
        self.counts.converted += 1
        if document.omitted:
            self.counts.incomplete += 1
            logger.warning("Not read of %s: %s", file, "; ".join(document.omitted))
        title = document.title or PurePath(path).stem
        shared = self._shared_metadata(path, digest, splitter.settings)
        return split_document(document, path, title, shared, splitter)

    def _shared_metadata(self, path: str, digest: str, split: SplitSettings) -> dict[str, Any]:
        """Return the metadata that all passages of a document share."""
        kind = document_format(path)
        assert kind is not None
        shared = {
            "source": self.name.encode("utf-8", "replace").decode("utf-8"),
            "path": path,
            "content_type": kind.content_type,
            "file_digest": digest,
            "converter": self._converter_versions[kind],
            "words": split.words,
        }
        if split.by == "sentences":
            shared["split_by"] = split.by
        if split.overlap:
            shared["split_overlap"] = split.overlap
        return shared

    def _reject(self, reject: RejectHandler, path: str, reason: str) -> None:
        self.records_read += 1
        self.counts.rejected += 1
        self.rejected_paths.add(path)
        reject(Reject(str(self._folder / path), 0, reason, None))


def split_document(
    document: ConvertedDocument,
    path: str,
    title: str,
    shared_metadata: Mapping[str, Any],
    splitter: Splitter,
) -> list[Passage]:
    """Split a document into passages, which may run across page breaks.

    Args:
        document: its text.
        path: prefix of the passage ids.
        title: title of every passage.
        shared_metadata: metadata of every passage.
        splitter: makes the passages.
    """
    text, page_starts = _join_pages(document.pages)
    headings = [block for block in document.blocks if block.kind == "heading"]
    heading_starts = [heading.start for heading in headings]
    parts = list(splitter.parts(text, title, document.blocks))
    passages = []
    for position, part in enumerate(parts, start=1):
        own_start = part.start + part.overlap
        metadata = {**shared_metadata, "position": position, "passages": len(parts)}
        if document.paged:
            metadata["page"] = bisect_right(page_starts, own_start)
        if number := bisect_right(heading_starts, own_start):
            heading = headings[number - 1]
            metadata["heading"] = text[heading.start : heading.end]
        if part.overlap:
            metadata[OVERLAP_KEY] = part.overlap
        passages.append(
            Passage(part_id(path, position), text[part.start : part.end], title, metadata)
        )
    return passages


def _join_pages(pages: Sequence[str]) -> tuple[str, list[int]]:
    """Return all text, and where each page begins; a sentence continues in lower case."""
    text, starts = StringIO(), []
    for number, page in enumerate(pages):
        if number:
            text.write("\n" if pages[number - 1] and page[:1].islower() else PAGE_BREAK)
        starts.append(text.tell())
        text.write(page)
    return text.getvalue(), starts


def open_document_source(path: Path) -> DocumentSource:
    """Open a folder of documents, or a single document.

    Raises:
        SourceError: the folder cannot be listed or holds no documents, or a package that a
            document needs is not installed.
    """
    if not path.is_dir():
        listing = FolderListing({path.name: FileState.from_stat(path.stat())})
        return DocumentSource(str(path), path.parent, listing, follow_symlinks=True)
    listing = list_folder(path)
    if not listing.files and "." in listing.unreadable:
        raise SourceError(f"Cannot list {path}: {listing.unreadable['.']}.")
    if not listing.files:
        found = format_extension_counts(listing.others) or "nothing"
        raise SourceError(
            f"The folder {path} holds no documents ({DOCUMENT_EXTENSIONS}); found: {found}. "
            "Give files of rows one by one."
        )
    return DocumentSource(str(path), path, listing)


def format_extension_counts(counts: Mapping[str, int], limit: int = 8) -> str:
    """Format counts by extension on one line, most frequent first, `limit` of them by name."""
    ordered = Counter(counts).most_common()
    shown = [f"{count:,} {extension}" for extension, count in ordered[:limit]]
    rest = sum(count for _, count in ordered[limit:])
    return ", ".join([*shown, f"{rest:,} others"] if rest else shown)
