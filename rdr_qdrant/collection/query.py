"""Queries and their results, for the sync and the async client."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Required, TypedDict

from rdr_qdrant.collection.filters import (
    FilterFactory,
    IndexTypes,
    condition_count,
    to_qdrant_filter,
)
from rdr_qdrant.collection.limits import StrictLimits, parts
from rdr_qdrant.collection.payload import ScoredPassage, from_payload
from rdr_qdrant.collection.points import normalized_id
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from qdrant_client import models


class QueryOptions(TypedDict, total=False):
    """Options of a query.

    Attributes:
        k: number of passages for each vector.
        filter: a dict of metadata, Qdrant's own, or a `FilterFactory`. Where nothing is found, a
            warning names metadata keys that no passage has.
        score_threshold: lowest raw inner product.
        exact: compare with every point instead of using the index.
        offset: number of best points to skip.
        search_params: Qdrant's own. Unless they say otherwise, results of a quantized collection
            are rescored with the original vectors: Qdrant itself does so with few quantization
            methods, and scores of the others are approximate.
        with_vectors: return the points' vectors too.
        neighbors: parts before and after each hit to join to its text; see `join_neighbors`.
    """

    k: Required[int]
    filter: Mapping[str, Any] | models.Filter | FilterFactory | None
    score_threshold: float | None
    exact: bool
    offset: int
    search_params: models.SearchParams | None
    with_vectors: bool
    neighbors: int


def query_requests(
    vectors: Any, vector_name: str, options: QueryOptions, indexes: IndexTypes
) -> list[models.QueryRequest]:
    """Make one request for each vector.

    Args:
        vectors: of the questions, float32 [n, dim].
        vector_name: the named vector to use; `""` is the unnamed one.
        options: see `QueryOptions`.
        indexes: payload indexes of the collection, to which filter values are cast.

    Raises:
        UsageError: the filter is of another type, a number is out of range, or a vector holds
            NaN or infinity.
    """
    import numpy as np
    from qdrant_client import models

    _check_numbers(options)
    if not np.isfinite(vectors).all():
        raise UsageError(
            "The vector of a question holds NaN or infinity, to which nothing can be compared. "
            "Doubt the encoder that made it, its precision and its device."
        )
    conditions = to_qdrant_filter(options.get("filter"), indexes)
    params = _with_rescoring(options.get("search_params") or models.SearchParams())
    if options.get("exact"):
        params = params.model_copy(update={"exact": True})
    with_vectors = options.get("with_vectors", False)
    return [
        models.QueryRequest(
            query=vector.tolist(),
            using=vector_name or None,
            limit=options["k"],
            offset=options.get("offset"),
            filter=conditions,
            score_threshold=options.get("score_threshold"),
            params=params,
            with_payload=True,
            with_vector=[vector_name] if with_vectors and vector_name else with_vectors,
        )
        for vector in vectors
    ]


def requests_within_limits(
    name: str,
    limits: StrictLimits,
    requests: Sequence[models.QueryRequest],
    options: QueryOptions,
) -> Iterator[Sequence[models.QueryRequest]]:
    """Return the requests in parts that may be sent together.

    Raises:
        CollectionError: strict mode refuses each of them; names the limit.
    """
    limits.check_results(name, options["k"])
    params = options.get("search_params")
    if options.get("exact") or (params and params.exact):
        limits.check_exact(name)
    conditions = condition_count(requests[0].filter) if requests else 0
    return parts(requests, limits.search_size(conditions))


def to_scored_passages(points: Sequence[models.ScoredPoint]) -> list[ScoredPassage]:
    """Return the passages of found points, in their order."""
    return [ScoredPassage(p.score, from_payload(normalized_id(p.id), p.payload)) for p in points]


def _check_numbers(options: QueryOptions) -> None:
    for name, least in (("k", 1), ("offset", 0)):
        value: Any = options.get(name)
        if value is not None and not (type(value) is int and least <= value < 2**63):
            raise UsageError(
                f"{name} is {value!r}: it must be an integer from {least} to {2**63 - 1}."
            )
    threshold = options.get("score_threshold")
    if threshold is not None and not math.isfinite(threshold):
        raise UsageError(f"score_threshold is {threshold!r}: it must be a finite number.")


def _with_rescoring(params: models.SearchParams) -> models.SearchParams:
    from qdrant_client import models

    quantization = params.quantization or models.QuantizationSearchParams()
    if quantization.rescore is not None or quantization.ignore:
        return params
    quantization = quantization.model_copy(update={"rescore": True})
    return params.model_copy(update={"quantization": quantization})
