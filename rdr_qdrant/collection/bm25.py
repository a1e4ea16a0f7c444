"""BM25 as a sparse vector beside the dense one, made by Qdrant's own model, `qdrant/bm25`.

A vector holds a weight for each word of a passage; the collection multiplies it by the word's
inverse document frequency (the modifier IDF) when it is searched. No model is downloaded.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from rdr_qdrant.collection.payload import METADATA_KEY, TEXT_KEY
from rdr_qdrant.errors import CollectionError, UsageError

if TYPE_CHECKING:
    from qdrant_client import models

logger = logging.getLogger(__name__)

BM25_VECTOR = "bm25"
"""Name of the sparse vector."""

BM25_KEY = "rdr_qdrant_bm25"
"""Key of a collection's metadata that says how its sparse vectors were made."""

DEFAULT_LANGUAGE = "english"

NO_LANGUAGE = "none"
"""Language of texts that are compared word by word, without stemming and stop words."""

_UNSPACED = ("chinese", "japanese", NO_LANGUAGE)
"""Languages written without spaces, perhaps: they need another tokenizer."""

_FORMULA: Mapping[str, Any] = {
    "model": "qdrant/bm25",
    "k": 1.2,
    "b": 0.75,
    "avg_len": 256,
    "fields": [f"{METADATA_KEY}.title", TEXT_KEY],
}
"""Parameters of the formula: Qdrant's own defaults."""

CACHE_SECONDS = 60.0
"""Lifetime of a collection's cached record, for searches: an alias may be moved."""


def bm25_languages() -> list[str]:
    """The languages whose stop words and stemmer the model knows, and `none`."""
    import qdrant_edge

    known = (name.lower() for name in vars(qdrant_edge.Language) if name[0].isupper())
    return [*sorted(known), NO_LANGUAGE]


def check_language(language: str) -> None:
    """Refuse a language that the model does not know.

    Raises:
        UsageError: it lists those that it knows.
    """
    known = bm25_languages()
    if language not in known:
        raise UsageError(f"BM25 knows no language {language!r}. It knows: {', '.join(known)}.")


@dataclass(frozen=True, slots=True)
class Bm25Record:
    """How a collection's sparse vectors were made, as its metadata say.

    Attributes:
        language: whose stop words are left out and whose endings are removed.
        complete: every point that existed when it was added has got its vector.
    """

    language: str = DEFAULT_LANGUAGE
    complete: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return it as it is recorded."""
        return {**_FORMULA, "language": self.language, "complete": self.complete}

    @classmethod
    def from_json(cls, name: str, found: Any) -> Self | None:
        """Read what the metadata of the collection `name` hold under `BM25_KEY`, if anything.

        Raises:
            CollectionError: another version of rdr-qdrant made its vectors otherwise.
        """
        if not isinstance(found, Mapping):
            return None
        different = [key for key, value in _FORMULA.items() if found.get(key) != value]
        language = found.get("language")
        if different or not isinstance(language, str):
            raise CollectionError(
                f"The BM25 vectors of collection {name!r} were made otherwise than this version "
                f"makes them ({', '.join(different) or 'language'}). Make them again: "
                f"rdr-qdrant index -c {name} --drop-bm25, then --bm25."
            )
        return cls(language, complete=found.get("complete") is True)


class Bm25Encoder:
    """Makes sparse vectors of passages and questions.

    Args:
        language: see `Bm25Record`.

    Raises:
        UsageError: the language is unknown.
    """

    def __init__(self, language: str = DEFAULT_LANGUAGE) -> None:
        import qdrant_edge

        check_language(language)
        options: dict[str, Any] = {}
        if language in _UNSPACED:
            options["tokenizer"] = qdrant_edge.TokenizerType.Multilingual
        if language == NO_LANGUAGE:
            options["stemmer"] = qdrant_edge.DisabledStemmer()
            options["stopwords"] = qdrant_edge.StopwordsSet(languages=set(), custom=set())
        else:
            options["language"] = language
        self.language = language
        self._model = qdrant_edge.Bm25(qdrant_edge.Bm25Config(**options))

    def passage(self, payload: Mapping[str, Any]) -> models.SparseVector | None:
        """Return the vector of a point's title and text; `None` if they hold no words."""
        metadata = payload.get(METADATA_KEY)
        title = metadata.get("title") if isinstance(metadata, Mapping) else None
        text = payload.get(TEXT_KEY)
        parts = [part for part in (title, text) if isinstance(part, str) and part]
        vector = self.document(" ".join(parts))
        return vector if vector.indices else None

    def document(self, text: str) -> models.SparseVector:
        """Return the vector of a text: for each word how much it says about the text."""
        return _sparse(self._model.embed_document(text))

    def question(self, text: str) -> models.SparseVector:
        """Return the vector of a question: 1 for each of its words."""
        return _sparse(self._model.embed_query(text))


class Bm25Cache:
    """A collection's record and an encoder for it, as last read."""

    def __init__(self) -> None:
        self._recorded: Any = None
        self._encoder: Bm25Encoder | None = None
        self._until = -math.inf
        self._warned = False

    def update(self, info: models.CollectionInfo) -> None:
        """Take the record from Qdrant's description."""
        recorded = (info.config.metadata or {}).get(BM25_KEY)
        if recorded != self._recorded:
            self._recorded, self._encoder, self._warned = recorded, None, False
        self._until = time.monotonic() + CACHE_SECONDS

    @property
    def is_stale(self) -> bool:
        """True if a search should read the record again; where there was none, it may be added."""
        return self._recorded is None or time.monotonic() > self._until

    def required_encoder(self, name: str, language: str | None = None) -> Bm25Encoder:
        """An encoder for the questions of a search in the collection `name`.

        Args:
            name: of the collection.
            language: of the questions; `None` is that of the collection.

        Raises:
            CollectionError: it has no BM25, or one of another language.
        """
        record, encoder = self.record(name), self.encoder(name)
        if record is None or encoder is None:
            raise CollectionError(
                f"Collection {name!r} has no BM25, which the modes bm25 and hybrid need. Add it "
                f"with: rdr-qdrant index -c {name} --bm25 (nothing is encoded again)."
            )
        if language not in (None, record.language):
            raise CollectionError(
                f"The BM25 of collection {name!r} is for {record.language}, not for {language}: "
                "words of the question would not match. Leave the language out."
            )
        if not record.complete and not self._warned:
            self._warned = True
            logger.warning(
                "Some points of collection %r may have no BM25 yet, so that modes bm25 and hybrid "
                "miss them. Finish it with: rdr-qdrant index -c %s --bm25",
                name,
                name,
            )
        return encoder

    @property
    def was_read(self) -> bool:
        """True if the record has been read, however long ago."""
        return self._until > -math.inf

    def record(self, name: str) -> Bm25Record | None:
        """The record of the collection `name`; `None` if it has no BM25.

        Raises:
            CollectionError: another version of rdr-qdrant made its vectors otherwise.
        """
        return Bm25Record.from_json(name, self._recorded)

    def encoder(self, name: str) -> Bm25Encoder | None:
        """An encoder for the collection `name`; `None` if it has no BM25.

        Raises:
            CollectionError: another version of rdr-qdrant made its vectors otherwise.
        """
        if self._encoder is None and (record := self.record(name)):
            self._encoder = Bm25Encoder(record.language)
        return self._encoder


def _sparse(vector: Any) -> models.SparseVector:
    from qdrant_client import models

    return models.SparseVector(indices=vector.indices, values=vector.values)
