"""Queries and prefetches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import qdrant_edge as edge
from qdrant_client import models

from rdr_qdrant.embedded.convert.edge_enums import to_engine_enum
from rdr_qdrant.embedded.convert.edge_filters import to_engine_filter, without_ids
from rdr_qdrant.embedded.convert.edge_formulas import to_engine_formula
from rdr_qdrant.embedded.convert.edge_points import to_engine_id, to_engine_vector
from rdr_qdrant.embedded.convert.results import to_with_payload, to_with_vector
from rdr_qdrant.embedded.errors import not_supported

RRF_K = 2  # the server's default for reciprocal rank fusion
DEFAULT_LIMIT = 10

# (point id, vector name, lookup location or None) -> the point's stored vector, and whether the
# point is of the collection that is searched
VectorLookup = Callable[[Any, str, models.LookupLocation | None], tuple[Any, bool]]


class QueryConverter:
    """Converts query requests.

    A point id given in place of a vector stands for that point's stored vector, which
    `lookup_vector` fetches; the point is excluded from the answer, as on a server, unless it was
    looked up in another collection.
    """

    def __init__(self, lookup_vector: VectorLookup) -> None:
        self._lookup_vector = lookup_vector

    def to_engine_request(self, request: models.QueryRequest) -> edge.QueryRequest:
        """Convert a request.

        Raises:
            ValueError: a limit below 1 or an offset below 0, or an unknown point.
            NotSupportedError: a kind of query that the engine does not have.
        """
        limit = DEFAULT_LIMIT if request.limit is None else request.limit
        _check_request(request, limit)
        query, excluded_ids = self._scoring(request, limit + (request.offset or 0))
        # As on a server, an offset does not take points away from a random sample.
        is_sample = isinstance(request.query, models.SampleQuery)
        return edge.QueryRequest(
            limit=limit,
            offset=None if is_sample else request.offset,
            query=query,
            prefetches=self._prefetches(request.prefetch),
            with_vector=to_with_vector(request.with_vector),
            with_payload=to_with_payload(request.with_payload),
            filter=to_engine_filter(without_ids(request.filter, excluded_ids)),
            score_threshold=request.score_threshold,
            params=to_search_params(request.params),
        )

    def _prefetches(self, prefetch: Any) -> list[edge.Prefetch] | None:
        if prefetch is None:
            return None
        prefetches = prefetch if isinstance(prefetch, list) else [prefetch]
        return [self._prefetch(one) for one in prefetches]

    def _prefetch(self, prefetch: models.Prefetch) -> edge.Prefetch:
        limit = DEFAULT_LIMIT if prefetch.limit is None else prefetch.limit
        if limit < 1:
            raise ValueError(f"prefetch limit value {limit} is invalid. Must be 1 or larger.")
        if isinstance(prefetch.query, models.NearestQuery) and prefetch.query.mmr is not None:
            # The engine would pass all candidates on.
            raise not_supported("`mmr` in a prefetch", "give it in the main query")
        query, excluded_ids = self._scoring(prefetch, limit)
        return edge.Prefetch(
            limit=limit,
            query=query,
            prefetches=self._prefetches(prefetch.prefetch),
            params=to_search_params(prefetch.params),
            filter=to_engine_filter(without_ids(prefetch.filter, excluded_ids)),
            score_threshold=prefetch.score_threshold,
        )

    def _scoring(
        self, request: models.QueryRequest | models.Prefetch, limit: int
    ) -> tuple[edge.ScoringQueryType | None, Iterable[Any]]:
        """Convert the query itself; return it and the ids of the points to exclude."""
        inputs = _VectorInputs(self._lookup_vector, request.using or "", request.lookup_from)
        query = request.query
        match query:
            case None:
                return None, ()
            case models.NearestQuery():
                scoring = _nearest(query, inputs, limit)
            case models.RecommendQuery():
                scoring = _recommend(query.recommend, inputs)
            case models.DiscoverQuery(discover=discover):
                target = inputs.vector(discover.target)
                pairs = inputs.pairs(discover.context)
                scoring = edge.Query.Discover(edge.DiscoverQuery(target, pairs), inputs.using)
            case models.ContextQuery(context=context):
                pairs = inputs.pairs(context)
                scoring = edge.Query.Context(edge.ContextQuery(pairs), inputs.using)
            case models.RelevanceFeedbackQuery():
                scoring = _feedback(query.relevance_feedback, inputs)
            case models.OrderByQuery(order_by=order_by):
                return to_order_by(order_by), ()
            case models.FusionQuery(fusion=models.Fusion.DBSF):
                return edge.Fusion.Dbsf(), ()  # type: ignore[return-value]
            case models.FusionQuery():
                return edge.Fusion.Rrf(k=RRF_K), ()  # type: ignore[return-value]
            case models.RrfQuery(rrf=rrf):
                k = RRF_K if rrf.k is None else rrf.k
                return edge.Fusion.Rrf(k=k, weights=rrf.weights), ()  # type: ignore[return-value]
            case models.FormulaQuery():
                return to_engine_formula(query), ()
            case models.SampleQuery():
                return edge.Sample.Random, ()
            case models.TextQuery():
                return _text(query, request.using), ()
            case _:
                # A bare vector or point id, as `query_batch_points` passes it on.
                scoring = _nearest(models.NearestQuery(nearest=query), inputs, limit)
        return scoring, inputs.excluded_ids


class _VectorInputs:
    """The vectors of one query: given as they are, or by the id of a point.

    Attributes:
        using: the vector's name.
        excluded_ids: the ids given so far of points of the collection that is searched.
    """

    def __init__(
        self, lookup_vector: VectorLookup, using: str, location: models.LookupLocation | None
    ) -> None:
        self.using = using
        self.excluded_ids: list[Any] = []
        self._lookup_vector = lookup_vector
        self._location = location

    def client_vector(self, vector_or_id: Any) -> Any:
        """The vector in qdrant-client's types."""
        if isinstance(vector_or_id, list | np.ndarray | models.SparseVector):
            return vector_or_id
        point_id = to_engine_id(vector_or_id)
        vector, same_collection = self._lookup_vector(point_id, self.using, self._location)
        if same_collection:
            self.excluded_ids.append(point_id)
        return vector

    def vector(self, vector_or_id: Any) -> edge.NamedVector:
        """The vector in the engine's types."""
        return to_engine_vector(self.client_vector(vector_or_id))

    def vectors(self, vectors_or_ids: Sequence[Any] | None) -> list[edge.NamedVector]:
        return [self.vector(one) for one in vectors_or_ids or []]

    def pairs(self, context: Any) -> list[edge.ContextPair]:
        pairs = context if isinstance(context, list) else [context]
        return [edge.ContextPair(self.vector(p.positive), self.vector(p.negative)) for p in pairs]


def _nearest(query: models.NearestQuery, inputs: _VectorInputs, limit: int) -> Any:
    vector = inputs.vector(query.nearest)
    if query.mmr is None:
        return edge.Query.Nearest(vector, inputs.using)
    if isinstance(vector, edge.SparseVector):
        raise not_supported("`mmr` with sparse vectors", "leave it out")
    diversity = 0.5 if query.mmr.diversity is None else query.mmr.diversity
    candidates = query.mmr.candidates_limit
    return edge.Mmr(
        vector,
        lambda_=1.0 - diversity,
        candidates_limit=limit if candidates is None else candidates,
        using=inputs.using,
    )


def _recommend(query: models.RecommendInput, inputs: _VectorInputs) -> Any:
    strategy = query.strategy or models.RecommendStrategy.AVERAGE_VECTOR
    if strategy == models.RecommendStrategy.AVERAGE_VECTOR:
        return edge.Query.Nearest(to_engine_vector(_average_vector(query, inputs)), inputs.using)
    if not query.positive and not query.negative:
        raise ValueError("No positive or negative examples given")
    examples = edge.RecommendQuery(inputs.vectors(query.positive), inputs.vectors(query.negative))
    if strategy == models.RecommendStrategy.BEST_SCORE:
        return edge.Query.RecommendBestScore(examples, inputs.using)
    return edge.Query.RecommendSumScores(examples, inputs.using)


def _average_vector(query: models.RecommendInput, inputs: _VectorInputs) -> np.ndarray[Any, Any]:
    """Twice the mean of the positive vectors minus that of the negative ones, if any: [dim]."""
    if not query.positive:
        raise ValueError("Positive list is empty")
    positive = [inputs.client_vector(one) for one in query.positive]
    negative = [inputs.client_vector(one) for one in query.negative or []]
    if any(np.ndim(v) != 1 or isinstance(v, models.SparseVector) for v in positive + negative):
        raise not_supported(
            "recommend with strategy 'average_vector' for sparse vectors and multivectors",
            "choose RecommendStrategy.BEST_SCORE",
        )
    mean = np.mean(np.asarray(positive, dtype=np.float32), axis=0)
    if not negative:
        return np.asarray(mean)
    return np.asarray(2 * mean - np.mean(np.asarray(negative, dtype=np.float32), axis=0))


def _feedback(query: models.RelevanceFeedbackInput, inputs: _VectorInputs) -> Any:
    naive = query.strategy.naive
    if naive.b < 0:
        raise ValueError(f"naive feedback b value {naive.b} is invalid. Must be 0 or larger.")
    items = [edge.FeedbackItem(inputs.vector(item.example), item.score) for item in query.feedback]
    strategy = edge.NaiveFeedbackStrategy(naive.a, naive.b, naive.c)
    feedback = edge.FeedbackNaiveQuery(inputs.vector(query.target), items, strategy)
    return edge.Query.FeedbackNaive(feedback, inputs.using)


def _text(query: models.TextQuery, field: str | None) -> edge.TextQuery:
    if not field:
        raise ValueError("A text query needs `using` to name the payload field to search")
    if isinstance(query.text, str):
        return edge.TextQuery(field, query.text)
    scoring = query.text.scoring
    bm25 = None if scoring is None else edge.Bm25Params(scoring.bm25.k, scoring.bm25.b)
    return edge.TextQuery(field, query.text.query, bm25)


def to_order_by(order_by: models.OrderByInterface) -> edge.OrderBy:
    """Convert an order by a payload field, which needs a range index (integer, float, datetime)."""
    if isinstance(order_by, str):
        return edge.OrderBy(order_by)
    start = order_by.start_from
    return edge.OrderBy(
        order_by.key,
        to_engine_enum(edge.Direction, order_by.direction),
        start if start is None or isinstance(start, int | float) else start.isoformat(),
    )


def to_search_params(params: models.SearchParams | None) -> edge.SearchParams | None:
    """Convert the parameters of a search: exact or by the index, its breadth, quantisation."""
    if params is None:
        return None
    if isinstance(params, dict):
        params = models.SearchParams(**params)
    return edge.SearchParams(
        hnsw_ef=params.hnsw_ef,
        exact=bool(params.exact),
        quantization=_quantization(params.quantization),
        indexed_only=bool(params.indexed_only),
        acorn=_acorn(params.acorn),
        idf=_idf(params.idf),
    )


def _quantization(
    params: models.QuantizationSearchParams | None,
) -> edge.QuantizationSearchParams | None:
    if params is None:
        return None
    return edge.QuantizationSearchParams(
        ignore=bool(params.ignore), rescore=params.rescore, oversampling=params.oversampling
    )


def _acorn(params: models.AcornSearchParams | None) -> edge.AcornSearchParams | None:
    return (
        None
        if params is None
        else edge.AcornSearchParams(bool(params.enable), params.max_selectivity)
    )


def _idf(params: Any) -> edge.IdfParams | None:
    if params is None:
        return None
    corpus = params.corpus if isinstance(params, models.IdfCorpusParams) else None
    return edge.IdfParams(to_engine_filter(corpus))


def _check_request(request: models.QueryRequest, limit: int) -> None:
    if limit < 1:
        raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
    if request.offset is not None and request.offset < 0:
        raise ValueError(f"offset value {request.offset} is invalid. Must be 0 or larger.")
    if request.prefetch and request.query is None:
        raise ValueError("A query is needed to merge the prefetches.")
    if request.score_threshold is not None and request.query is None:
        raise ValueError("A query is needed to use the score_threshold.")
    if request.score_threshold is not None and isinstance(request.query, models.OrderByQuery):
        raise ValueError("Can't use score_threshold with an order_by query.")
    if request.using and isinstance(request.query, models.FusionQuery | models.RrfQuery):
        raise ValueError("Fusion queries cannot be combined with the 'using' field.")
