"""Options of `RDRVectorStore`, in LangChain's names: read, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from langchain_qdrant import RetrievalMode
from qdrant_client import models

from rdr_qdrant.collection import BM25_VECTOR, MODES, Mode
from rdr_qdrant.collection.bm25 import check_language
from rdr_qdrant.collection.payload import METADATA_KEY, TEXT_KEY
from rdr_qdrant.collection.query import refuse_unknown_options
from rdr_qdrant.errors import UsageError

MODE_OPTIONS = ("mode", "fusion", "candidates", "language")
SEARCH_OPTIONS = (
    "filter",
    "score_threshold",
    "search_params",
    "exact",
    "offset",
    "neighbors",
    *MODE_OPTIONS,
)
MMR_OPTIONS = ("fetch_k", "lambda_mult")

FIXED_ARGUMENTS = {
    "distance": models.Distance.DOT,
    "content_payload_key": TEXT_KEY,
    "metadata_payload_key": METADATA_KEY,
    "sparse_vector_name": BM25_VECTOR,
}
"""Constructor arguments of `QdrantVectorStore` that have one possible value here."""

RETRIEVAL_MODES: Mapping[Mode, RetrievalMode] = {
    "dense": RetrievalMode.DENSE,
    "bm25": RetrievalMode.SPARSE,
    "hybrid": RetrievalMode.HYBRID,
}
"""LangChain's names of the modes."""


def mode_and_language(
    mode: Mode | None, language: str | None, options: dict[str, Any]
) -> tuple[Mode, str | None]:
    """Read mode and language, also from LangChain's own options, which are taken out.

    Raises:
        UsageError: they contradict each other, the language is unknown, or the sparse embedding is
            another than ours.
    """
    given = {"mode": mode}
    if "retrieval_mode" in options:
        retrieval_mode = options.pop("retrieval_mode")
        names = {theirs: ours for ours, theirs in RETRIEVAL_MODES.items()}
        given["retrieval_mode"] = names.get(retrieval_mode, retrieval_mode)
    modes = {one for one in given.values() if one is not None}
    if len(modes) > 1 or not modes <= set(MODES):
        raise UsageError(
            f"The mode is {' and '.join(map(repr, modes))}: give one of {', '.join(MODES)}."
        )
    sparse_embedding = options.pop("sparse_embedding", None)
    if sparse_embedding is not None:
        theirs = getattr(sparse_embedding, "language", None)
        if not isinstance(theirs, str) or language not in (None, theirs):
            raise UsageError(
                f"The sparse_embedding is {type(sparse_embedding).__name__}, but RDRVectorStore "
                "has BM25Embeddings alone, of the collection's language. Leave it out."
            )
        language = theirs
    if language is not None:
        check_language(language)
    return modes.pop() if modes else "dense", language


def refuse_unsupported(given: Mapping[str, Any]) -> None:
    """Accept an argument of `QdrantVectorStore` only with the one value that RDR supports.

    Raises:
        UsageError: another value, or another argument; its value may be a secret and is not shown.
    """
    for name, value in given.items():
        if name not in FIXED_ARGUMENTS:
            raise UsageError(f"RDRVectorStore has no option {name!r}; its docstring lists them.")
        if value != FIXED_ARGUMENTS[name]:
            raise UsageError(
                f"RDRVectorStore has {name}={FIXED_ARGUMENTS[name]!r}, not {value!r}: RDR has one "
                "dense vector per passage, compared by dot product, and perhaps BM25 beside it."
            )


refuse_options = partial(refuse_unknown_options, "RDRVectorStore")
