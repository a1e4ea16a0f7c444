"""BM25 as a sparse vector beside the dense one, made by Qdrant's own model, `qdrant/bm25`.

A vector holds a weight for each word of a passage; the collection multiplies it by the word's
inverse document frequency (the modifier IDF) when it is searched. No model is downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from rdr_qdrant.collection.payload import METADATA_KEY, TEXT_KEY, stored_metadata
from rdr_qdrant.errors import CollectionError, UsageError

if TYPE_CHECKING:
    from qdrant_client import models

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
        title_and_text = stored_metadata(payload).get("title"), payload.get(TEXT_KEY)
        parts = [part for part in title_and_text if isinstance(part, str) and part]
        vector = self.document(" ".join(parts))
        return vector if vector.indices else None

    def document(self, text: str) -> models.SparseVector:
        """Return the vector of a text: for each word how much it says about the text."""
        return _sparse(self._model.embed_document(_encodable(text)))

    def question(self, text: str) -> models.SparseVector:
        """Return the vector of a question: 1 for each of its words."""
        return _sparse(self._model.embed_query(_encodable(text)))


def _encodable(text: str) -> str:
    """The text with a question mark for each lone surrogate, which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _sparse(vector: Any) -> models.SparseVector:
    from qdrant_client import models

    return models.SparseVector(indices=vector.indices, values=vector.values)
