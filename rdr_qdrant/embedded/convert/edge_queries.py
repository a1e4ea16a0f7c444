"""Queries: the client's `models.Query` and prefetches into what the engine ranks by."""

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
from rdr_qdrant.embedded.convert.optional import if_given
from rdr_qdrant.embedded.convert.results import to_payload_choice, to_vector_choice
from rdr_qdrant.embedded.errors import not_supported

RRF_K = 2  # the server's constant of reciprocal rank fusion
DEFAULT_LIMIT = 10

# (point id, vector name, where to look it up or None) -> that point's stored vector
VectorOf = Callable[[Any, str, models.LookupLocation | None], Any]


class QueryTranslator:
    """Turns one request of the client's into the engine's.

    A point id given in place of a vector stands for that point's stored vector, which `vector_of`
    fetches; such a point is left out of the answer, as the server does.
    """

    def __init__(self, vector_of: VectorOf) -> None:
        self._vector_of = vector_of

    def request(self, asked: models.QueryRequest) -> edge.QueryRequest:
        """The engine's request.

        Raises:
            ValueError: a limit below 1 or an offset below 0, or an unknown point.
            NotSupportedError: a kind of query that the engine does not have.
        """
        limit = DEFAULT_LIMIT if asked.limit is None else asked.limit
        _check(asked, limit)
        query, named = self._scoring(asked, limit + (asked.offset or 0))
        return edge.QueryRequest(
            limit=limit,
            offset=asked.offset,
            query=query,
            prefetches=self._prefetches(asked.prefetch),
            with_vector=to_vector_choice(asked.with_vector),
            with_payload=to_payload_choice(asked.with_payload),
            filter=to_engine_filter(without_ids(asked.filter, named)),
            score_threshold=asked.score_threshold,
            params=to_search_params(asked.params),
        )

    def _prefetches(self, given: Any) -> list[edge.Prefetch] | None:
        if given is None:
            return None
        return [self._prefetch(one) for one in (given if isinstance(given, list) else [given])]

    def _prefetch(self, asked: models.Prefetch) -> edge.Prefetch:
        limit = DEFAULT_LIMIT if asked.limit is None else asked.limit
        if limit < 1:
            raise ValueError(f"prefetch limit value {limit} is invalid. Must be 1 or larger.")
        query, named = self._scoring(asked, limit)
        return edge.Prefetch(
            limit=limit,
            query=query,
            prefetches=self._prefetches(asked.prefetch),
            params=to_search_params(asked.params),
            filter=to_engine_filter(without_ids(asked.filter, named)),
            score_threshold=asked.score_threshold,
        )

    def _scoring(
        self, asked: models.QueryRequest | models.Prefetch, limit: int
    ) -> tuple[edge.ScoringQueryType | None, Iterable[Any]]:
        """What to rank by, and the ids of the points that the query names."""
        inputs = _Inputs(self._vector_of, asked.using or "", asked.lookup_from)
        query = asked.query
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
                return _text(query, asked.using), ()
            case _:
                # A bare vector or point id, as `query_batch_points` passes it on.
                scoring = _nearest(models.NearestQuery(nearest=query), inputs, limit)
        own = asked.lookup_from is None
        return scoring, inputs.named if own else ()


class _Inputs:
    """The vectors a query speaks of: given as they are, or by the id of a point."""

    def __init__(self, of: VectorOf, using: str, lookup: models.LookupLocation | None) -> None:
        self.using = using
        self.named: list[Any] = []
        self._of, self._lookup = of, lookup

    def stored(self, given: Any) -> Any:
        """The vector in the client's form."""
        if isinstance(given, list | np.ndarray | models.SparseVector):
            return given
        point_id = to_engine_id(given)
        self.named.append(point_id)
        return self._of(point_id, self.using, self._lookup)

    def vector(self, given: Any) -> edge.NamedVector:
        """The vector in the engine's form."""
        return to_engine_vector(self.stored(given))

    def vectors(self, given: Sequence[Any] | None) -> list[edge.NamedVector]:
        return [self.vector(one) for one in given or []]

    def pairs(self, given: Any) -> list[edge.ContextPair]:
        pairs = given if isinstance(given, list) else [given]
        return [edge.ContextPair(self.vector(p.positive), self.vector(p.negative)) for p in pairs]


def _nearest(query: models.NearestQuery, inputs: _Inputs, limit: int) -> Any:
    vector = inputs.vector(query.nearest)
    if query.mmr is None:
        return edge.Query.Nearest(vector, inputs.using)
    diversity = 0.5 if query.mmr.diversity is None else query.mmr.diversity
    candidates = query.mmr.candidates_limit
    return edge.Mmr(
        vector,
        lambda_=1.0 - diversity,
        candidates_limit=limit if candidates is None else candidates,
        using=inputs.using,
    )


def _recommend(asked: models.RecommendInput, inputs: _Inputs) -> Any:
    strategy = asked.strategy or models.RecommendStrategy.AVERAGE_VECTOR
    if strategy == models.RecommendStrategy.AVERAGE_VECTOR:
        return edge.Query.Nearest(to_engine_vector(_average(asked, inputs)), inputs.using)
    if not asked.positive and not asked.negative:
        raise ValueError("No positive or negative examples given")
    both = edge.RecommendQuery(inputs.vectors(asked.positive), inputs.vectors(asked.negative))
    if strategy == models.RecommendStrategy.BEST_SCORE:
        return edge.Query.RecommendBestScore(both, inputs.using)
    return edge.Query.RecommendSumScores(both, inputs.using)


def _average(asked: models.RecommendInput, inputs: _Inputs) -> np.ndarray[Any, Any]:
    """The mean of the liked vectors, moved away from the mean of the disliked ones: [dim]."""
    if not asked.positive:
        raise ValueError("Positive list is empty")
    liked = [inputs.stored(one) for one in asked.positive]
    disliked = [inputs.stored(one) for one in asked.negative or []]
    if any(np.ndim(one) != 1 or isinstance(one, models.SparseVector) for one in liked + disliked):
        raise not_supported(
            "recommend with strategy 'average_vector' for sparse vectors and multivectors",
            "choose RecommendStrategy.BEST_SCORE",
        )
    mean = np.mean(np.asarray(liked, dtype=np.float32), axis=0)
    if not disliked:
        return np.asarray(mean)
    return np.asarray(2 * mean - np.mean(np.asarray(disliked, dtype=np.float32), axis=0))


def _feedback(asked: models.RelevanceFeedbackInput, inputs: _Inputs) -> Any:
    naive = asked.strategy.naive
    if naive.b < 0:
        raise ValueError(f"naive feedback b value {naive.b} is invalid. Must be 0 or larger.")
    items = [edge.FeedbackItem(inputs.vector(one.example), one.score) for one in asked.feedback]
    query = edge.FeedbackNaiveQuery(
        inputs.vector(asked.target), items, edge.NaiveFeedbackStrategy(naive.a, naive.b, naive.c)
    )
    return edge.Query.FeedbackNaive(query, inputs.using)


def _text(query: models.TextQuery, field: str | None) -> edge.TextQuery:
    if not field:
        raise ValueError("A text query needs `using` to name the payload field to search")
    if isinstance(query.text, str):
        return edge.TextQuery(field, query.text)
    given = query.text.scoring
    scoring = None if given is None else edge.Bm25Params(given.bm25.k, given.bm25.b)
    return edge.TextQuery(field, query.text.query, scoring)


def to_order_by(order_by: models.OrderByInterface) -> edge.OrderBy:
    """Ordering by a payload field, which needs a range index (integer, float, datetime)."""
    if isinstance(order_by, str):
        return edge.OrderBy(order_by)
    start = order_by.start_from
    return edge.OrderBy(
        order_by.key,
        to_engine_enum(edge.Direction, order_by.direction),
        start if start is None or isinstance(start, int | float) else start.isoformat(),
    )


def to_search_params(params: models.SearchParams | None) -> edge.SearchParams | None:
    """How to search: exact or by the index, its breadth, quantisation."""
    if params is None:
        return None
    if isinstance(params, dict):
        params = models.SearchParams(**params)
    return edge.SearchParams(
        hnsw_ef=params.hnsw_ef,
        exact=bool(params.exact),
        quantization=if_given(params.quantization, _quantization),
        indexed_only=bool(params.indexed_only),
        acorn=if_given(params.acorn, _acorn),
        idf=if_given(params.idf, _idf),
    )


def _quantization(params: models.QuantizationSearchParams) -> edge.QuantizationSearchParams:
    return edge.QuantizationSearchParams(
        ignore=bool(params.ignore), rescore=params.rescore, oversampling=params.oversampling
    )


def _acorn(params: models.AcornSearchParams) -> edge.AcornSearchParams:
    return edge.AcornSearchParams(bool(params.enable), params.max_selectivity)


def _idf(params: Any) -> edge.IdfParams:
    corpus = params.corpus if isinstance(params, models.IdfCorpusParams) else None
    return edge.IdfParams(to_engine_filter(corpus))


def _check(asked: models.QueryRequest, limit: int) -> None:
    if limit < 1:
        raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
    if asked.offset is not None and asked.offset < 0:
        raise ValueError(f"offset value {asked.offset} is invalid. Must be 0 or larger.")
    if asked.prefetch and asked.query is None:
        raise ValueError("A query is needed to merge the prefetches.")
    if asked.score_threshold is not None and asked.query is None:
        raise ValueError("A query is needed to use the score_threshold.")
    if asked.score_threshold is not None and isinstance(asked.query, models.OrderByQuery):
        raise ValueError("Can't use score_threshold with an order_by query.")
    if asked.using and isinstance(asked.query, models.FusionQuery | models.RrfQuery):
        raise ValueError("Fusion queries cannot be combined with the 'using' field.")
