"""Passages with where they stand, out of iterables and sources."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rdr_qdrant.collection.payload import canonical_json
from rdr_qdrant.passages import Passage
from rdr_qdrant.readers import DocumentSource, PassageSource, Reject, RejectHandler
from rdr_qdrant.readers.documents import DEFAULT_PASSAGE_WORDS, StoredDocumentLookup
from rdr_qdrant.readers.row_parser import RowError, check_json
from rdr_qdrant.splitter import split_passage

if TYPE_CHECKING:
    from langchain_core.documents import Document

ITERABLE = "passages"
"""The name of a source that is an iterable of passages."""


@dataclass(frozen=True, slots=True)
class Row:
    """A passage, and the source and 1-based line (or number) that it came from."""

    passage: Passage
    source: str
    line: int

    def content_digest(self) -> bytes:
        """16 bytes over all content; in which file it stands is not content."""
        passage = self.passage
        metadata = passage.metadata
        if metadata.get("source") == self.source:
            metadata = {key: value for key, value in metadata.items() if key != "source"}
        digest = hashlib.blake2b(digest_size=16)
        for part in (passage.title, passage.text, canonical_json(metadata)):
            data = part.encode()
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
        return digest.digest()

    def set_aside(self, reason: str) -> Reject:
        """The same as a row that cannot be used."""
        passage = self.passage
        shown = {"id": passage.id, "title": passage.title, "text": passage.text}
        return Reject(self.source, self.line, reason, shown)


def rows_of_passages(
    passages: Iterable[Passage | Document], reject: RejectHandler
) -> Iterator[Row]:
    """Passages and LangChain documents that can be stored; others go to `reject`."""
    for number, item in enumerate(passages, start=1):
        try:
            yield Row(_storable(item), ITERABLE, number)
        except (ValueError, RowError) as error:
            unicode = isinstance(error, UnicodeEncodeError)
            reason = "not valid Unicode" if unicode else str(error)
            reject(Reject(ITERABLE, number, reason, repr(item)))


def rows_of_sources(
    sources: Sequence[PassageSource],
    reject: RejectHandler,
    split: int | None,
    id_prefix: str,
    stored_lookup: StoredDocumentLookup,
) -> Iterator[Row]:
    """The passages of sources, one after the other, under their prefixed ids, cut where asked.

    Documents are always cut; `stored_lookup` tells their passages where they are known already.
    """
    for source in sources:
        if isinstance(source, DocumentSource):
            words = DEFAULT_PASSAGE_WORDS if split is None else split
            numbered = source.enumerate_passages(reject, words=words, stored_lookup=stored_lookup)
        else:
            numbered = _cut(source.enumerate_passages(reject), split)
        for line, passage in numbered:
            named = replace(passage, id=id_prefix + passage.id) if id_prefix else passage
            yield Row(named, source.name, line)


def _cut(
    numbered: Iterable[tuple[int, Passage]], split: int | None
) -> Iterator[tuple[int, Passage]]:
    for line, passage in numbered:
        for part in [passage] if split is None else split_passage(passage, split):
            yield line, part


def fraction_read(sources: Sequence[PassageSource]) -> float | None:
    """How much of all sources has been read, 0 to 1, or `None` where a length is not known."""
    done = total = 0.0
    for source in sources:
        fraction = source.fraction_read()
        if fraction is None:
            return None
        done += fraction * source.size
        total += source.size
    return done / total if total else None


def _storable(item: Passage | Document) -> Passage:
    """A passage whose metadata is plain JSON: dates, UUIDs and the like become text."""
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    passage = item if isinstance(item, Passage) else Passage.from_document(item)
    if not passage.text.strip():
        raise ValueError("text is empty")
    f"{passage.id}{passage.title}{passage.text}".encode()
    if not passage.metadata:
        return passage
    try:
        metadata = to_jsonable_python(dict(passage.metadata))
    except PydanticSerializationError as error:
        raise ValueError(f"metadata is not JSON: {error}") from None
    check_json(metadata)
    return replace(passage, metadata=metadata)
