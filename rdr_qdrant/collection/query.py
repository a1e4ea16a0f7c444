"""What is asked of a collection and what it answers, for the sync and the async client alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Required, TypedDict

from rdr_qdrant.collection.filters import FilterMaker, IndexTypes, as_filter
from rdr_qdrant.collection.payload import Hit, from_payload
from rdr_qdrant.collection.points import plain

if TYPE_CHECKING:
    from qdrant_client import models


class QueryOptions(TypedDict, total=False):
    """What is asked for besides the vectors.

    Attributes:
        k: most passages for each vector.
        filter: only points that fulfil it: a dict of metadata, Qdrant's own, or a function that
            makes one for a collection's indexes.
        score_threshold: only points with at least this raw inner product.
        exact: compare with every point instead of going through the index.
        offset: leave out so many of the best.
        search_params: Qdrant's own. Where they do not say otherwise, hits of a quantized collection
            are scored again by the original vectors: by itself Qdrant does so with few kinds of
            quantization, and all other scores are approximate.
        with_vectors: answer with the points' vectors too.
    """

    k: Required[int]
    filter: Mapping[str, Any] | models.Filter | FilterMaker | None
    score_threshold: float | None
    exact: bool
    offset: int
    search_params: models.SearchParams | None
    with_vectors: bool


def query_requests(
    vectors: Any, vector_name: str, options: QueryOptions, indexes: IndexTypes
) -> list[models.QueryRequest]:
    """One request for each vector of `vectors`, float32 [n, dim].

    Args:
        vectors: of the questions.
        vector_name: the named vector to use; `""` is the unnamed one.
        options: what else is asked for.
        indexes: of the collection's payload, by which a filter is made.

    Raises:
        UsageError: a filter that is none.
    """
    from qdrant_client import models

    conditions = as_filter(options.get("filter"), indexes)
    params = _rescoring(options.get("search_params") or models.SearchParams())
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


def to_hits(points: Sequence[models.ScoredPoint]) -> list[Hit]:
    """The passages of points that were found, in their order."""
    return [Hit(p.score, from_payload(plain(p.id), p.payload)) for p in points]


def _rescoring(params: models.SearchParams) -> models.SearchParams:
    from qdrant_client import models

    quantization = params.quantization or models.QuantizationSearchParams()
    if quantization.rescore is not None or quantization.ignore:
        return params
    quantization = quantization.model_copy(update={"rescore": True})
    return params.model_copy(update={"quantization": quantization})
