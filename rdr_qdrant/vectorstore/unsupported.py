"""Arguments of `QdrantVectorStore` that RDR cannot have, refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_qdrant import RetrievalMode
from qdrant_client import models

from rdr_qdrant.collection.payload import METADATA_KEY, TEXT_KEY
from rdr_qdrant.errors import UsageError

FIXED = {
    "retrieval_mode": RetrievalMode.DENSE,
    "distance": models.Distance.DOT,
    "content_payload_key": TEXT_KEY,
    "metadata_payload_key": METADATA_KEY,
}
"""Arguments of `QdrantVectorStore` that can have one value here."""


def refuse_others(given: Mapping[str, Any]) -> None:
    """Accept of `QdrantVectorStore`'s own arguments only what holds here anyway.

    Raises:
        UsageError: another value, or another argument; its value, maybe a secret, is not shown.
    """
    why = (
        "RDR has one dense vector for each passage, compared by dot product; sparse and hybrid "
        "retrieval are for langchain_qdrant.QdrantVectorStore"
    )
    for name, value in given.items():
        if name in FIXED and value != FIXED[name]:
            raise UsageError(f"RDRVectorStore has {name}={FIXED[name]!r}, not {value!r}: {why}.")
        if "sparse" in name:
            raise UsageError(f"RDRVectorStore has no option {name!r}: {why}.")
        if name not in FIXED:
            raise UsageError(f"RDRVectorStore has no option {name!r}; its docstring lists them.")
