"""Queries and their results, for the sync and the async client."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, Required, TypedDict, get_args

from rdr_qdrant.collection.bm25 import BM25_VECTOR, Bm25Encoder
from rdr_qdrant.collection.filters import (
    FilterFactory,
    IndexTypes,
    condition_count,
    to_qdrant_filter,
)
from rdr_qdrant.collection.fusion import Fusion, Scored, by_score
from rdr_qdrant.collection.limits import StrictLimits, parts
from rdr_qdrant.collection.payload import ScoredPassage, from_payload
from rdr_qdrant.collection.point_encoding import normalized_id
from rdr_qdrant.errors import UsageError

if TYPE_CHECKING:
    from qdrant_client import models


Mode = Literal["dense", "bm25", "hybrid"]

MODES: tuple[Mode, ...] = get_args(Mode)
LARGEST = 2**63 - 1
"""Number of points that a Qdrant can be asked for."""
MIN_CANDIDATES = 200
"""Passages that each of two lists has at least before they are fused."""


class QueryOptions(TypedDict, total=False):
    """Options of a query.

    Attributes:
        k: number of passages for each question.
        filter: a dict of metadata, Qdrant's own, or a `FilterFactory`. Where nothing is found, a
            warning names metadata keys that no passage has.
        score_threshold: lowest score: a raw inner product, or the sum of BM25 weights; of a fusion
            only with `linear`, since the scores of the others depend on the other hits.
        exact: compare with every vector instead of using the index.
        offset: number of best points to skip.
        search_params: Qdrant's own, for vectors. Unless they say otherwise, results of a quantized
            collection are rescored with the original vectors: Qdrant itself does so with few
            quantization methods, and scores of the others are approximate.
        with_vectors: return the points' vectors too; in mode `dense` only.
        neighbors: parts before and after each hit to join to its text; see `join_neighbors`.
        mode: `dense` compares vectors, `bm25` words, `hybrid` both.
        fusion: how `hybrid` fuses its lists; `None` is `Fusion()`.
        candidates: length of each list before it is fused and cut to `k`; `None` is twice as many
            as are asked for, at least `MIN_CANDIDATES`.
        language: of the questions' words; `None` is that of the collection, another is refused.
    """

    k: Required[int]
    filter: Mapping[str, Any] | models.Filter | FilterFactory | None
    score_threshold: float | None
    exact: bool
    offset: int
    search_params: models.SearchParams | None
    with_vectors: bool
    neighbors: int
    mode: Mode
    fusion: Fusion | None
    candidates: int | None
    language: str | None


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions as a mode needs them.

    Attributes:
        vectors: float32 [n, dim]; `None` in mode `bm25`.
        texts: n texts; empty in mode `dense`.
    """

    vectors: Any = None
    texts: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.texts) if self.vectors is None else len(self.vectors)

    def part(self, start: int, stop: int) -> Questions:
        """Return some of them."""
        vectors = None if self.vectors is None else self.vectors[start:stop]
        return Questions(vectors, self.texts[start:stop])


def compares_words(options: QueryOptions) -> bool:
    """Return whether the mode of a query needs BM25."""
    return options.get("mode", "dense") != "dense"


def query_requests(
    questions: Questions,
    vector_name: str,
    options: QueryOptions,
    indexes: IndexTypes,
    bm25: Bm25Encoder | None = None,
    most_results: int | None = None,
) -> list[models.QueryRequest]:
    """Make one request for each question; in mode `hybrid` two, for vector and words.

    Args:
        questions: the questions.
        vector_name: the named vector to use; `""` is the unnamed one.
        options: see `QueryOptions`.
        indexes: payload indexes of the collection, to which filter values are cast.
        bm25: makes vectors of the words, where the mode needs them.
        most_results: that Qdrant returns to one request; `None` is any number.

    Raises:
        UsageError: the filter is of another type, a number is out of range, options contradict
            each other, or a vector holds NaN or infinity.
    """
    from qdrant_client import models

    check_options(options)
    conditions = to_qdrant_filter(options.get("filter"), indexes)
    if not compares_words(options):
        threshold, with_vectors = options.get("score_threshold"), options.get("with_vectors", False)
        return _dense_requests(
            questions.vectors,
            vector_name,
            options,
            limit=options["k"],
            offset=options.get("offset"),
            filter=conditions,
            score_threshold=threshold,
            with_payload=True,
            with_vector=[vector_name] if with_vectors and vector_name else with_vectors,
        )
    assert bm25 is not None
    limit = _candidates(options, most_results)
    by_words = [
        models.QueryRequest(
            query=bm25.question(text), using=BM25_VECTOR, limit=limit, filter=conditions
        )
        for text in questions.texts
    ]
    if options.get("mode") == "bm25":
        return by_words
    by_vector = _dense_requests(
        questions.vectors, vector_name, options, limit=limit, filter=conditions
    )
    return [request for pair in zip(by_vector, by_words, strict=True) for request in pair]


def _dense_requests(
    vectors: Any, vector_name: str, options: QueryOptions, **others: Any
) -> list[models.QueryRequest]:
    import numpy as np
    from qdrant_client import models

    if not np.isfinite(vectors).all():
        raise UsageError(
            "The vector of a question holds NaN or infinity, to which nothing can be compared. "
            "Doubt the encoder that made it, its precision and its device."
        )
    params = _with_rescoring(options.get("search_params") or models.SearchParams())
    if options.get("exact"):
        params = params.model_copy(update={"exact": True})
    return [
        models.QueryRequest(
            query=vector.tolist(), using=vector_name or None, params=params, **others
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
    skipped = options.get("offset") or 0
    limits.check_results(name, options["k"] + (skipped if compares_words(options) else 0))
    params = options.get("search_params")
    if options.get("exact") or (params and params.exact):
        limits.check_exact(name)
    conditions = condition_count(requests[0].filter) if requests else 0
    return parts(requests, limits.search_size(conditions))


def fused_scores(
    found: Sequence[Sequence[models.ScoredPoint]], options: QueryOptions
) -> list[list[Scored]]:
    """Return the best points of each question in a mode that compares words, best first.

    Args:
        found: the points found by each of `query_requests`, in their order.
        options: of the query.
    """
    lists = [[(normalized_id(point.id), point.score) for point in points] for points in found]
    if options.get("mode") == "hybrid":
        fusion = options.get("fusion") or Fusion()
        pairs = zip(lists[::2], lists[1::2], strict=True)
        ranked = [fusion.fuse(dense, bm25) for dense, bm25 in pairs]
    else:
        ranked = [by_score(one) for one in lists]
    start = options.get("offset") or 0
    lowest = options.get("score_threshold")
    return [
        [one for one in hits if lowest is None or one[1] >= lowest][start : start + options["k"]]
        for hits in ranked
    ]


def scored_points(
    fused: Sequence[Sequence[Scored]], records: Iterable[models.Record]
) -> list[list[models.ScoredPoint]]:
    """Return points with their scores and payloads; those deleted meanwhile are left out."""
    from qdrant_client import models

    payloads = {normalized_id(record.id): record.payload or {} for record in records}
    return [
        [
            models.ScoredPoint(id=one, version=0, score=score, payload=payloads[one])
            for one, score in hits
            if one in payloads
        ]
        for hits in fused
    ]


def to_scored_passages(points: Sequence[models.ScoredPoint]) -> list[ScoredPassage]:
    """Return the passages of found points, in their order."""
    return [ScoredPassage(p.score, from_payload(normalized_id(p.id), p.payload)) for p in points]


def _candidates(options: QueryOptions, most_results: int | None) -> int:
    wanted = options["k"] + (options.get("offset") or 0)
    candidates = options.get("candidates") or max(MIN_CANDIDATES, 2 * wanted)
    return min(LARGEST, max(wanted, min(candidates, most_results or candidates)))


def refuse_unknown_options(
    owner: str, purpose: str, given: Iterable[str], known: Iterable[str]
) -> None:
    """Refuse options that would be ignored; their values may be secrets and are not shown.

    Raises:
        UsageError: `owner` has an option that is not among `known`.
    """
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UsageError(
            f"{owner} has no option {', '.join(unknown)} {purpose}. Options: {', '.join(known)}."
        )


def check_options(options: QueryOptions) -> None:
    """Refuse options that are out of range or contradict each other.

    Raises:
        UsageError: they are.
    """
    _check_numbers(options)
    mode = options.get("mode", "dense")
    if mode not in MODES:
        raise UsageError(f"There is no mode {mode!r}. Known: {', '.join(MODES)}.")
    given: Any = options.get("fusion") or Fusion()
    if not isinstance(given, Fusion):
        raise UsageError(f"fusion is {given!r}: it must be a Fusion, such as Fusion('rrf').")
    fusion = given.method
    if mode == "hybrid" and options.get("score_threshold") is not None and fusion != "linear":
        raise UsageError(
            f"A score_threshold has no meaning with the fusion {fusion}: its scores depend on the "
            "other hits of the question. Leave it out, or take the fusion linear."
        )
    if mode != "dense" and options.get("with_vectors"):
        raise UsageError(
            f"MMR compares vectors alone, so it has no mode {mode!r}. Search in mode dense."
        )


def _check_numbers(options: QueryOptions) -> None:
    for name, least in (("k", 1), ("offset", 0), ("candidates", 1)):
        value: Any = options.get(name)
        if value is None and name != "k":
            continue
        if not (type(value) is int and least <= value <= LARGEST):
            raise UsageError(
                f"{name} is {value!r}: it must be an integer from {least} to {LARGEST}."
            )
    threshold: Any = options.get("score_threshold")
    if threshold is not None and not (isinstance(threshold, Real) and math.isfinite(threshold)):
        raise UsageError(f"score_threshold is {threshold!r}: it must be a finite number.")


def _with_rescoring(params: models.SearchParams) -> models.SearchParams:
    from qdrant_client import models

    quantization = params.quantization or models.QuantizationSearchParams()
    if quantization.rescore is not None or quantization.ignore:
        return params
    quantization = quantization.model_copy(update={"rescore": True})
    return params.model_copy(update={"quantization": quantization})
