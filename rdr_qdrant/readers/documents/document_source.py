"""A folder of documents, or one document, as a source of passages."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path, PurePath
from typing import Any

from rdr_qdrant.errors import SourceError
from rdr_qdrant.passages import Passage
from rdr_qdrant.readers.base import PassageSource
from rdr_qdrant.readers.documents.document import Document, DocumentError
from rdr_qdrant.readers.documents.folder import Listing, list_folder
from rdr_qdrant.readers.documents.formats import KNOWN_KINDS, kind_of
from rdr_qdrant.readers.documents.opening import digest_of, open_document
from rdr_qdrant.readers.documents.sandbox import Converter
from rdr_qdrant.readers.io import same_file
from rdr_qdrant.readers.row_parser import Reject, RejectHandler
from rdr_qdrant.splitter import spans

WORDS = 100
"""Words of a passage where nothing else is asked for, as DPR cut Wikipedia."""
PAGE_BREAK = "\n\n"

Recall = Callable[[str, Mapping[str, Any]], Sequence[Passage] | None]
"""Given a document's path and what all its passages have in their metadata: its passages, where
they are known already."""


@dataclass
class DocumentCounts:
    """What became of documents.

    Attributes:
        files: documents that were found.
        converted: of them, those whose text was taken out of them now.
        unchanged: those whose passages were known, so that they were not converted.
        rejected: those set aside, and folders that could not be listed.
        others: files of other kinds and symbolic links, which are not read, by extension.
    """

    files: int = 0
    converted: int = 0
    unchanged: int = 0
    rejected: int = 0
    others: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: DocumentCounts) -> DocumentCounts:
        return DocumentCounts(
            self.files + other.files,
            self.converted + other.converted,
            self.unchanged + other.unchanged,
            self.rejected + other.rejected,
            dict(Counter(self.others) + Counter(other.others)),
        )


class DocumentSource(PassageSource):
    """Documents cut into passages, `PATH#1`, `PATH#2` and so on.

    The metadata of a passage: `source` (as the user called it), `path` (in the folder), `page`
    (where there are pages: the one on which it begins), `position` (from 1) of how many `passages`,
    `content_type`, `file_digest` (SHA-256 of the file), `converter` (with versions), `words` (at
    which it was cut).

    Args:
        name: what the user called it.
        folder: where the paths begin.
        listing: the documents, and what else there is.
        follow: whether a document may be a symbolic link.

    Attributes:
        counts: what became of the documents so far.
        unread: paths of documents and folders (ending in a slash) that were set aside.

    Raises:
        SourceError: a package that a document needs is not installed.
    """

    def __init__(self, name: str, folder: Path, listing: Listing, *, follow: bool = False) -> None:
        super().__init__(name, sum(size for _, size in listing.files))
        self._folder = folder
        self._listing = listing
        self._follow = follow
        self._bytes_done = 0
        self.counts = DocumentCounts(len(listing.files), others=dict(listing.others))
        self.unread: set[str] = set()
        first = {kind_of(path): path for path, _ in reversed(listing.files)}
        self._converters = {kind: kind.converter(path) for kind, path in first.items() if kind}

    def numbered_passages(
        self, reject: RejectHandler, *, words: int = WORDS, recall: Recall | None = None
    ) -> Iterator[tuple[int, Passage]]:
        """The passages, each with its number in its document; what cannot be used goes to `reject`.

        Args:
            reject: called with each document or folder that is set aside.
            words: of a passage.
            recall: asked before a document is converted.
        """
        for inside, why in sorted(self._listing.unreadable.items()):
            self._set_aside(reject, f"{inside}/", f"folder cannot be listed: {why}")
        with Converter() as converter:
            for path, size in self._listing.files:
                try:
                    passages = self._passages(path, words, recall, converter)
                except DocumentError as error:
                    self._set_aside(reject, path, str(error))
                else:
                    for number, passage in enumerate(passages, start=1):
                        self.read += 1
                        yield number, passage
                self._bytes_done += size

    def fraction_read(self) -> float | None:
        """By the bytes of all documents."""
        return self._bytes_done / self.size if self.size else 1.0

    def reads(self, path: Path) -> bool:
        """Whether this file is one of the documents."""
        return any(same_file(self._folder / one, path) for one, _ in self._listing.files)

    def _passages(
        self, path: str, words: int, recall: Recall | None, converter: Converter
    ) -> Sequence[Passage]:
        """The passages of one document."""
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            raise DocumentError("its name is not valid UTF-8") from None
        where = self._folder / path
        with open_document(where, follow=self._follow) as stream:
            digest = digest_of(stream)
        if recall:
            known = recall(path, self._shared(path, digest, words))
            if known is not None:
                self.counts.unchanged += 1
                return known
        digest, document = converter.convert(where, follow=self._follow)
        self.counts.converted += 1
        title = document.title or PurePath(path).stem
        return cut(document, path, title, self._shared(path, digest, words))

    def _shared(self, path: str, digest: str, words: int) -> dict[str, Any]:
        """What all passages of a document have in their metadata."""
        kind = kind_of(path)
        assert kind is not None
        return {
            "source": self.name.encode("utf-8", "replace").decode("utf-8"),
            "path": path,
            "content_type": kind.content_type,
            "file_digest": digest,
            "converter": self._converters[kind],
            "words": words,
        }

    def _set_aside(self, reject: RejectHandler, path: str, reason: str) -> None:
        self.read += 1
        self.counts.rejected += 1
        self.unread.add(path)
        reject(Reject(str(self._folder / path), 0, reason, None))


def cut(document: Document, path: str, title: str, shared: Mapping[str, Any]) -> list[Passage]:
    """The passages of a document; they run on from page to page.

    Args:
        document: its text.
        path: the ids are this with `#1`, `#2` and so on.
        title: of every passage.
        shared: metadata of every passage, among it `words`, at every which it is cut.
    """
    text = PAGE_BREAK.join(document.pages)
    lengths = [len(page) + len(PAGE_BREAK) for page in document.pages]
    starts = list(accumulate(lengths, initial=0))
    found = list(spans(text, shared["words"]))
    passages = []
    for position, (start, end) in enumerate(found, start=1):
        metadata = {**shared, "position": position, "passages": len(found)}
        if document.paged:
            metadata["page"] = bisect_right(starts, start)
        passages.append(Passage(f"{path}#{position}", text[start:end], title, metadata))
    return passages


def open_documents(path: Path) -> DocumentSource:
    """A folder, or a single document.

    Raises:
        SourceError: no document is there, or a package that one needs is not installed.
    """
    if not path.is_dir():
        listing = Listing([(path.name, path.stat().st_size)])
        return DocumentSource(str(path), path.parent, listing, follow=True)
    listing = list_folder(path)
    if not listing.files and "." in listing.unreadable:
        raise SourceError(f"Cannot list {path}: {listing.unreadable['.']}.")
    if not listing.files:
        others = shown_others(listing.others) or "nothing"
        raise SourceError(
            f"The folder {path} holds no documents ({KNOWN_KINDS}); found: {others}. "
            "Files of rows are named themselves."
        )
    return DocumentSource(str(path), path, listing)


def shown_others(others: Mapping[str, int], most: int = 8) -> str:
    """Counts of what is not read, the most frequent first, in one line."""
    found = Counter(others).most_common()
    shown = [f"{count:,} {kind}" for kind, count in found[:most]]
    rest = sum(count for _, count in found[most:])
    return ", ".join([*shown, f"{rest:,} others"] if rest else shown)
