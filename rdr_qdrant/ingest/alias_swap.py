"""A load into a new collection behind an alias: nobody sees it before it is complete.

The new collection carries a note in its metadata until the alias points at it, so that the same
load finds it again and resumes, however the one before ended.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rdr_qdrant.client import RetryPolicy
from rdr_qdrant.collection import Aliases, Collection
from rdr_qdrant.collection.aliases import REINDEX_KEY
from rdr_qdrant.errors import CollectionError

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

logger = logging.getLogger(__name__)


class AliasSwap:
    """The new collection of a re-index, from its name to the alias swap.

    Args:
        client: of a server or embedded.
        alias: the name that searches use.
        origin: what tells this load from another: its sources, how they are read and encoded, and
            the settings of the new collection.
        drop_old: delete the collection that the alias stood for before.
        retry: makes the calls.

    Attributes:
        resumed: true if `begin` found a collection to resume, rather than a name for a new one.
    """

    def __init__(
        self,
        client: QdrantClient,
        alias: str,
        origin: Mapping[str, Any],
        *,
        drop_old: bool,
        retry: RetryPolicy,
    ) -> None:
        self._client = client
        self._alias = alias
        self._origin = dict(origin)
        self._drop_old = drop_old
        self._retry = retry
        self._aliases = Aliases(client, retry)
        self._old: str | None = None
        self._run = uuid.uuid4().hex
        self._swapped = False
        self.resumed = False

    def begin(self) -> str:
        """The name of the new collection: `wiki-2` for `wiki`, or the one to resume.

        Raises:
            CollectionError: a collection has the alias's name, or the old one is to be dropped and
                is not ours alone.
        """
        names, aliases = self._aliases.collection_names(), self._aliases.all()
        if self._alias in names:
            raise CollectionError(
                f"{self._alias!r} is a collection itself, not an alias, and Qdrant cannot rename "
                "it. Name another alias (-c) and search by that, or delete the collection first "
                "(rdr_qdrant.connect(...).delete_collection(name))."
            )
        self._old = aliases.get(self._alias)
        numbered = re.compile(re.escape(self._alias) + r"-(\d+)")
        numbers = {int(found[1]): found[0] for found in map(numbered.fullmatch, names) if found}
        others = {alias: of for alias, of in aliases.items() if alias != self._alias}
        for number in sorted(numbers, reverse=True):
            name = numbers[number]
            note = self._note(name)
            if note is None:
                continue
            if note.get("origin") == self._origin:
                if name == self._old:  # swapped already, but ended before the note was removed
                    self._old, self._swapped = note.get("replaces"), True
                self._check_droppable(others)
                self.resumed = True
                return name
            if name != self._old:
                logger.warning(
                    "Collection %r is an unfinished re-index of %r from other sources, or with "
                    "other encoders or settings (%s); it is left as it is. Delete it when it is of "
                    "no more use",
                    name,
                    self._alias,
                    note.get("origin"),
                )
        self._check_droppable(others)
        taken = [int(found[1]) for found in map(numbered.fullmatch, [*names, *aliases]) if found]
        return f"{self._alias}-{max(taken, default=0) + 1}"

    def notes(self) -> dict[str, Any]:
        """The note in the new collection's metadata until the alias points at it.

        `run` is unique to this object: if two loads choose one name at the same time, only the
        one that made the collection finds its own there.
        """
        note = {
            "alias": self._alias,
            "origin": self._origin,
            "replaces": self._old,
            "run": self._run,
        }
        return {REINDEX_KEY: note}

    def check_noted(self, name: str) -> None:
        """Refuse a new collection that could not be found again to be resumed.

        Raises:
            CollectionError: the server keeps no metadata.
        """
        if self._note(name) is None:
            raise CollectionError(
                f"The server keeps no metadata of collections (Qdrant does since 1.16), so that an "
                f"interrupted re-index could not be resumed. Delete {name!r} and load into a "
                "collection of another name."
            )

    def is_swapped(self, name: str) -> bool:
        """True if the alias points at it: then others may have written into it."""
        return self._swapped or self._aliases.all().get(self._alias) == name

    def finish(self, name: str) -> str | None:
        """Point the alias at the new collection; returns the one that it stood for, if any."""
        old = self._old if self._old in self._aliases.collection_names() else None
        if not self.is_swapped(name):
            if old and self._note(old):  # from a re-index that ended between its swap and this
                self._collection(old).remove_metadata_key(REINDEX_KEY)
            self._aliases.assign(self._alias, name)
        if self._drop_old and old:
            self._check_droppable(self._aliases.all())
            self._collection(old).delete()
        self._collection(name).remove_metadata_key(REINDEX_KEY)
        return self._old

    def _check_droppable(self, aliases: Mapping[str, str]) -> None:
        """Refuse if the old one is to be dropped and one of these aliases stands for it."""
        if not (self._drop_old and self._old and self._old in self._aliases.collection_names()):
            return
        others = [alias for alias, of in aliases.items() if of == self._old]
        if others:
            raise CollectionError(
                f"Collection {self._old!r} has other aliases ({', '.join(others)}), so it is not "
                "dropped. Leave out --drop-old (drop_old=True)."
            )
        self._collection(self._old).check_ours("dropped")

    def _note(self, name: str) -> Mapping[str, Any] | None:
        found = (self._collection(name).info().config.metadata or {}).get(REINDEX_KEY)
        return found if isinstance(found, Mapping) and found.get("alias") == self._alias else None

    def _collection(self, name: str) -> Collection:
        return Collection(self._client, name, retry=self._retry)
