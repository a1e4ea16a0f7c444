"""Whether vectors fit their collection, told before the first of them is written.

The engine, given a wrong point in the middle of many, applies those before it and then fails.
Checked first, an upsert is done whole or not at all, as on a server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

Declared = Mapping[str, models.VectorParams | models.SparseVectorParams]


def declared_vectors(config: models.CreateCollection) -> Declared:
    """A collection's vectors by name, dense and sparse; the unnamed one is ""."""
    dense = config.vectors or {}
    named = dense if isinstance(dense, Mapping) else {"": dense}
    return {**named, **(config.sparse_vectors or {})}


def check_vectors(vectors: Any, declared: Declared) -> None:
    """Check a point's vector, or its vectors by name, in the engine's form.

    Raises:
        ValueError: a vector has a name, a kind or a dimension that the collection does not.
    """
    named = vectors if isinstance(vectors, Mapping) else {"": vectors}
    for name, vector in named.items():
        _check(name, vector, declared)


def numbers_per_point(declared: Declared) -> int:
    """How many numbers the dense vectors of a point hold, a multivector counted as one row."""
    return sum(p.size for p in declared.values() if isinstance(p, models.VectorParams))


def _check(name: str, vector: Any, declared: Declared) -> None:
    params = declared.get(name)
    if params is None:
        known = ", ".join(map(repr, sorted(declared))) or "none"
        raise ValueError(
            f"Wrong input: Not existing vector name error: {name} (the collection has: {known})"
        )
    sparse = isinstance(vector, edge.SparseVector)
    if isinstance(params, models.SparseVectorParams) or sparse:
        if sparse and isinstance(params, models.SparseVectorParams):
            return
        raise ValueError(f"Wrong input: Conversion between sparse and dense vector {name!r}")
    many = len(vector) > 0 and not isinstance(vector[0], float)
    if many and params.multivector_config is None:
        raise ValueError(f"Wrong input: Dense vector must be one-dimensional for vector {name!r}")
    if not many and params.multivector_config is not None:
        raise ValueError(f"Wrong input: vector {name!r} is a multivector; pass a list of rows")
    rows = vector if many else [vector]
    for row in rows:
        if len(row) != params.size:
            raise ValueError(
                f"Wrong input: Vector dimension error: expected dim: {params.size}, got {len(row)}"
            )
