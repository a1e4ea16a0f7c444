"""Checks that vectors fit their collection, before any of them is written.

Given a wrong point in the middle of many, the engine applies those before it and then fails.
Checked first, an upsert is applied as a whole or not at all, as on a server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

DeclaredVectors = Mapping[str, models.VectorParams | models.SparseVectorParams]


def declared_vectors(config: models.CreateCollection) -> DeclaredVectors:
    """A collection's vectors by name, dense and sparse; the unnamed one is ""."""
    dense = config.vectors or {}
    named = dense if isinstance(dense, Mapping) else {"": dense}
    return {**named, **(config.sparse_vectors or {})}


def check_vectors(vectors: Any, declared: DeclaredVectors) -> None:
    """Check a point's vector, or its vectors by name, in the engine's types.

    Raises:
        ValueError: a vector has a name, a kind or a dimension that the collection does not.
    """
    named = vectors if isinstance(vectors, Mapping) else {"": vectors}
    for name, vector in named.items():
        _check(name, vector, declared)


def components_per_point(declared: DeclaredVectors) -> int:
    """The number of components of a point's dense vectors; a multivector counts as one row."""
    return sum(p.size for p in declared.values() if isinstance(p, models.VectorParams))


def _check(name: str, vector: Any, declared: DeclaredVectors) -> None:
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
    multi = len(vector) > 0 and not isinstance(vector[0], float)
    if multi and params.multivector_config is None:
        raise ValueError(f"Wrong input: Dense vector must be one-dimensional for vector {name!r}")
    if not multi and params.multivector_config is not None:
        raise ValueError(f"Wrong input: vector {name!r} is a multivector; pass a list of rows")
    rows = vector if multi else [vector]
    for row in rows:
        if len(row) != params.size:
            raise ValueError(
                f"Wrong input: Vector dimension error: expected dim: {params.size}, got {len(row)}"
            )
