"""What a collection already holds of documents, so that unchanged ones are not converted again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, reduce
from operator import add
from typing import Any

from rdr_qdrant.collection import Collection
from rdr_qdrant.collection.payload import HASH_KEY, from_payload
from rdr_qdrant.ingest.options import LoadSettings
from rdr_qdrant.passages import Passage, content_hash, point_id
from rdr_qdrant.readers import DocumentCounts, DocumentSource, PassageSource

PASSAGES_AT_A_TIME = 256


class StoredDocuments:
    """Answers, by point ids alone, which passages the collection holds of a document.

    They are given back only where all are there, were cut from these very bytes by the same
    converter, and have the content hash that their text, title and this encoder make: then a
    conversion could find nothing else.

    Args:
        settings: of the load.
        collection: where to.
        id_prefix: put before each id.
    """

    def __init__(self, settings: LoadSettings, collection: Collection, id_prefix: str) -> None:
        self._settings = settings
        self._collection = collection
        self._id_prefix = id_prefix

    def __call__(self, path: str, shared: Mapping[str, Any]) -> Sequence[Passage] | None:
        """The document's passages, or `None` where it has to be converted.

        Args:
            path: of the document.
            shared: what all its passages have in their metadata.
        """
        if not self._is_there:
            return None
        first = self._passage(path, 1, shared, self._payloads(path, [1]))
        if first is None or not isinstance(total := first.metadata.get("passages"), int):
            return None
        passages = [first]
        for numbers in _numbers(2, total):
            payloads = self._payloads(path, numbers)
            for number in numbers:
                found = self._passage(path, number, shared, payloads)
                if found is None or found.metadata.get("passages") != total:
                    return None
                passages.append(found)
        return passages

    @cached_property
    def _is_there(self) -> bool:
        return not self._settings.recreate and self._collection.exists()

    @cached_property
    def _fingerprint(self) -> str:
        return self._settings.embeddings.fingerprint()

    def _payloads(self, path: str, numbers: Sequence[int]) -> dict[Any, Mapping[str, Any]]:
        return self._collection.points.retrieve_payloads(
            [self._point(path, number) for number in numbers]
        )

    def _point(self, path: str, number: int) -> int | str:
        return point_id(f"{self._id_prefix}{path}#{number}")

    def _passage(
        self,
        path: str,
        number: int,
        shared: Mapping[str, Any],
        payloads: Mapping[Any, Mapping[str, Any]],
    ) -> Passage | None:
        """The passage of this number, where it is stored as it would be made now."""
        payload = payloads.get(self._point(path, number))
        if payload is None:
            return None
        stored = from_payload(0, payload)
        there = stored.metadata
        of_this_file = all(there.get(key) == shared[key] for key in shared if key != "source")
        if not of_this_file or there.get("position") != number:
            return None
        if content_hash(stored, self._fingerprint) != payload.get(HASH_KEY):
            return None
        metadata = {**shared, "position": number, "passages": there.get("passages")}
        if "page" in there:
            metadata["page"] = there["page"]
        return Passage(f"{path}#{number}", stored.text, stored.title, metadata)


def _numbers(first: int, last: int) -> Iterator[range]:
    """The numbers from first to last, some at a time."""
    for start in range(first, last + 1, PASSAGES_AT_A_TIME):
        yield range(start, min(start + PASSAGES_AT_A_TIME, last + 1))


def counted(sources: Sequence[PassageSource]) -> DocumentCounts | None:
    """What became of the documents of these sources; `None` where none is of documents."""
    counts = [source.counts for source in sources if isinstance(source, DocumentSource)]
    return reduce(add, counts) if counts else None


def set_aside(sources: Sequence[PassageSource]) -> int:
    """How many documents (and folders) of these sources were set aside."""
    counts = counted(sources)
    return counts.rejected if counts else 0


def keeper(sources: Sequence[PassageSource], id_prefix: str) -> Callable[[str, str], bool]:
    """Tells by source and passage id which points to keep, since their documents were set aside."""
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
