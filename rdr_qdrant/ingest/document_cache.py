"""Documents that a collection already holds, so that unchanged ones are not converted again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, reduce
from operator import add
from typing import Any

from rdr_qdrant.collection import Collection
from rdr_qdrant.collection.payload import HASH_KEY, from_payload
from rdr_qdrant.ingest.passage_encoder import PassageEncoder
from rdr_qdrant.passages import Passage, content_hash, point_id
from rdr_qdrant.readers import DocumentCounts, DocumentSource, PassageSource
from rdr_qdrant.splitter import OVERLAP_KEY

PASSAGES_PER_REQUEST = 256
OWN_METADATA = ("page", "heading", OVERLAP_KEY)
"""Metadata of a document's passage that the others need not share."""


class StoredDocuments:
    """Looks up, by point ids alone, the passages that a collection holds of a document.

    They are returned only if all are there, were split from these very bytes by the same
    converter, and have the content hash that their text, title and this encoder make: then a
    conversion could find nothing else.

    Args:
        collection: gives the collection; it is asked for when a document is looked up.
        encoder: of the job.
        id_prefix: put before each id.
        ignore_stored: the collection is going to be deleted: nothing counts as stored.
    """

    def __init__(
        self,
        collection: Callable[[], Collection],
        encoder: PassageEncoder,
        id_prefix: str,
        *,
        ignore_stored: bool = False,
    ) -> None:
        self._collection = collection
        self._encoder = encoder
        self._id_prefix = id_prefix
        self._ignore_stored = ignore_stored

    def __call__(self, path: str, shared: Mapping[str, Any]) -> Sequence[Passage] | None:
        """The document's passages, or `None` if it has to be converted.

        Args:
            path: of the document.
            shared: metadata that all its passages have in common.
        """
        if not self._has_points:
            return None
        first = self._passage(path, 1, shared, self._payloads(path, [1]))
        if first is None or not isinstance(total := first.metadata.get("passages"), int):
            return None
        passages = [first]
        for numbers in _number_ranges(2, total):
            payloads = self._payloads(path, numbers)
            for number in numbers:
                found = self._passage(path, number, shared, payloads)
                if found is None or found.metadata.get("passages") != total:
                    return None
                passages.append(found)
        return passages

    @cached_property
    def _has_points(self) -> bool:
        return not self._ignore_stored and self._collection().exists()

    @cached_property
    def _fingerprint(self) -> str:
        return self._encoder.fingerprint()

    def _payloads(self, path: str, numbers: Sequence[int]) -> dict[Any, Mapping[str, Any]]:
        return self._collection().points.retrieve_payloads(
            [self._point_id(path, number) for number in numbers]
        )

    def _point_id(self, path: str, number: int) -> int | str:
        return point_id(f"{self._id_prefix}{path}#{number}")

    def _passage(
        self,
        path: str,
        number: int,
        shared: Mapping[str, Any],
        payloads: Mapping[Any, Mapping[str, Any]],
    ) -> Passage | None:
        """The passage of this number, if it is stored as it would be made now."""
        payload = payloads.get(self._point_id(path, number))
        if payload is None:
            return None
        stored = from_payload(0, payload)
        metadata = stored.metadata
        same_file = all(
            metadata.get(key) == shared.get(key)
            for key in {*shared, "split_by", "split_overlap"} - {"source"}
        )
        if not same_file or metadata.get("position") != number:
            return None
        if content_hash(stored, self._fingerprint) != payload.get(HASH_KEY):
            return None
        expected = {**shared, "position": number, "passages": metadata.get("passages")}
        expected.update({key: metadata[key] for key in OWN_METADATA if key in metadata})
        return Passage(f"{path}#{number}", stored.text, stored.title, expected)


def _number_ranges(first: int, last: int) -> Iterator[range]:
    for start in range(first, last + 1, PASSAGES_PER_REQUEST):
        yield range(start, min(start + PASSAGES_PER_REQUEST, last + 1))


def document_counts(sources: Sequence[PassageSource]) -> DocumentCounts | None:
    """Documents converted, skipped and rejected; `None` if no source holds documents."""
    counts = [source.counts for source in sources if isinstance(source, DocumentSource)]
    return reduce(add, counts) if counts else None


def rejected_documents(sources: Sequence[PassageSource]) -> int:
    """Number of documents (and folders) of these sources that were rejected."""
    counts = document_counts(sources)
    return counts.rejected if counts else 0


def keeps_rejected_documents(
    sources: Sequence[PassageSource], id_prefix: str
) -> Callable[[str, str], bool]:
    """A test, by source and passage id, for points of documents that were rejected."""
    unread: dict[str, set[str]] = {}
    for source in sources:
        if isinstance(source, DocumentSource):
            unread.setdefault(source.name, set()).update(source.rejected_paths)

    def keeps(source: str, passage_id: str) -> bool:
        if source not in unread:
            return False
        path = passage_id.removeprefix(id_prefix).rpartition("#")[0]
        folders = [path[: n + 1] for n, letter in enumerate(path) if letter == "/"]
        return not unread[source].isdisjoint([path, "./", *folders])

    return keeps
