"""Retrieve, scroll, count, facet, query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import qdrant_edge as edge
from qdrant_client import models
from qdrant_client.http.models import QueryResponse

from rdr_qdrant.embedded.convert.edge_filters import to_engine_filter
from rdr_qdrant.embedded.convert.edge_points import to_engine_id
from rdr_qdrant.embedded.convert.edge_queries import QueryConverter, to_order_by
from rdr_qdrant.embedded.convert.results import (
    to_client_vector,
    to_record,
    to_scored_point,
    to_with_payload,
    to_with_vector,
)
from rdr_qdrant.embedded.errors import refuse_unsupported
from rdr_qdrant.embedded.shard import Shard
from rdr_qdrant.embedded.storage import Storage


class ReadOperations:
    """Operations that change nothing. Parameters, answers and errors are `QdrantClient`'s."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def retrieve(
        self,
        collection_name: str,
        ids: Sequence[Any],
        with_payload: Any = True,
        with_vectors: Any = False,
        **parameters: Any,
    ) -> list[models.Record]:
        refuse_unsupported("retrieve", parameters)
        engine_ids = [to_engine_id(point_id) for point_id in ids]
        selectors = to_with_payload(with_payload), to_with_vector(with_vectors)
        with self._storage.shard(collection_name).engine("retrieve") as engine:
            records = [to_record(r) for r in engine.retrieve(cast(Any, engine_ids), *selectors)]
        by_id = {record.id: record for record in records}
        return [by_id[point_id] for point_id in engine_ids if point_id in by_id]

    def scroll(
        self,
        collection_name: str,
        scroll_filter: models.Filter | None = None,
        limit: int = 10,
        order_by: Any = None,
        offset: Any = None,
        with_payload: Any = True,
        with_vectors: Any = False,
        **parameters: Any,
    ) -> tuple[list[models.Record], Any]:
        refuse_unsupported("scroll", parameters)
        if limit < 1:
            raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
        if order_by is not None and offset is not None:
            raise ValueError(
                "Offset is not supported in conjunction with `order_by` scroll parameter"
            )
        request = edge.ScrollRequest(
            offset=None if offset is None else to_engine_id(offset),
            limit=limit,
            filter=to_engine_filter(scroll_filter),
            with_payload=to_with_payload(with_payload),
            with_vector=to_with_vector(with_vectors),
            order_by=None if order_by is None else to_order_by(order_by),
        )
        with self._storage.shard(collection_name).engine("scroll") as engine:
            records, next_id = engine.scroll(request)
        next_offset = next_id if next_id is None or isinstance(next_id, int) else str(next_id)
        return [to_record(record) for record in records], next_offset

    def count(
        self,
        collection_name: str,
        count_filter: models.Filter | None = None,
        exact: bool = True,
        **parameters: Any,
    ) -> models.CountResult:
        refuse_unsupported("count", parameters)
        request = edge.CountRequest(exact=exact, filter=to_engine_filter(count_filter))
        with self._storage.shard(collection_name).engine("count") as engine:
            return models.CountResult(count=engine.count(request))

    def facet(
        self,
        collection_name: str,
        key: str,
        facet_filter: models.Filter | None = None,
        limit: int = 10,
        exact: bool = False,
        **parameters: Any,
    ) -> models.FacetResponse:
        refuse_unsupported("facet", parameters)
        if limit < 1:
            raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
        with self._storage.shard(collection_name).engine("facet") as engine:
            request = edge.FacetRequest(key, limit, exact, to_engine_filter(facet_filter))
            hits = [
                models.FacetValueHit(value=cast(Any, hit.value), count=hit.count)
                for hit in engine.facet(request).hits
            ]
        return models.FacetResponse(hits=hits)

    def query_points(
        self,
        collection_name: str,
        query: Any = None,
        using: str | None = None,
        prefetch: Any = None,
        query_filter: models.Filter | None = None,
        search_params: models.SearchParams | None = None,
        limit: int = 10,
        offset: int | None = None,
        with_payload: Any = True,
        with_vectors: Any = False,
        score_threshold: float | None = None,
        lookup_from: models.LookupLocation | None = None,
        **parameters: Any,
    ) -> QueryResponse:
        refuse_unsupported("query_points", parameters)
        request = models.QueryRequest.model_construct(
            query=query,
            using=using,
            prefetch=prefetch,
            filter=query_filter,
            params=search_params,
            limit=limit,
            offset=offset,
            with_payload=with_payload,
            with_vector=with_vectors,
            score_threshold=score_threshold,
            lookup_from=lookup_from,
        )
        return self._query_batch(collection_name, [request])[0]

    def query_batch_points(
        self, collection_name: str, requests: Sequence[models.QueryRequest], **parameters: Any
    ) -> list[QueryResponse]:
        refuse_unsupported("query_batch_points", parameters)
        for request in requests:
            refuse_unsupported("query_batch_points", {"shard_key": request.shard_key})
        return self._query_batch(collection_name, list(requests))

    def _query_batch(
        self, collection_name: str, requests: list[models.QueryRequest]
    ) -> list[QueryResponse]:
        shard = self._storage.shard(collection_name)
        converter = QueryConverter(lambda *args: self._stored_vector(shard, *args))
        engine_requests = [converter.to_engine_request(request) for request in requests]
        with shard.engine("query") as engine:
            results = engine.query_batch(edge.QueryBatchRequest(engine_requests))
        return [
            QueryResponse.model_construct(
                points=[to_scored_point(point, bool(request.with_vector)) for point in points]
            )
            for request, points in zip(requests, results, strict=True)
        ]

    def _stored_vector(
        self, shard: Shard, point_id: Any, using: str, lookup: models.LookupLocation | None
    ) -> Any:
        """Fetch the vector of a point that a query gives by its id, in the client's form."""
        if lookup is not None:
            refuse_unsupported("query_points", {"lookup_from.shard_key": lookup.shard_key})
            shard = self._storage.shard(lookup.collection)
            using = using if lookup.vector is None else lookup.vector
        with shard.engine("look up a point") as engine:
            records = engine.retrieve([point_id], False, True)
        if not records:
            raise ValueError(f"Point {point_id} is not found in the collection")
        vectors = records[0].vector
        vector = vectors.get(using) if isinstance(vectors, dict) else vectors
        if vector is None or (using and not isinstance(vectors, dict)):
            raise ValueError(f"Vector with name {using} for point {point_id} not found")
        return to_client_vector(vector)
