"""The client's reading methods: retrieve, scroll, count, facet, query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import qdrant_edge as edge
from qdrant_client import models
from qdrant_client.client_base import QdrantBase
from qdrant_client.http.models import QueryResponse

from rdr_qdrant.embedded.convert.edge_filters import to_engine_filter
from rdr_qdrant.embedded.convert.edge_points import to_engine_id
from rdr_qdrant.embedded.convert.edge_queries import QueryTranslator, to_order_by
from rdr_qdrant.embedded.convert.results import (
    to_client_vector,
    to_payload_choice,
    to_record,
    to_scored_point,
    to_vector_choice,
)
from rdr_qdrant.embedded.errors import refuse_extras
from rdr_qdrant.embedded.shard import Collection
from rdr_qdrant.embedded.storage import Folder


class Reading(QdrantBase):
    """What changes nothing. Parameters, answers and errors are `QdrantClient`'s."""

    folder: Folder

    def retrieve(
        self,
        collection_name: str,
        ids: Sequence[Any],
        with_payload: Any = True,
        with_vectors: Any = False,
        **extras: Any,
    ) -> list[models.Record]:
        refuse_extras("retrieve", extras)
        wanted = [to_engine_id(one) for one in ids]
        choice = to_payload_choice(with_payload), to_vector_choice(with_vectors)
        with self.folder.collection(collection_name).shard("retrieve") as shard:
            found = [to_record(record) for record in shard.retrieve(cast(Any, wanted), *choice)]
        by_id = {record.id: record for record in found}
        return [by_id[one] for one in wanted if one in by_id]

    def scroll(
        self,
        collection_name: str,
        scroll_filter: models.Filter | None = None,
        limit: int = 10,
        order_by: Any = None,
        offset: Any = None,
        with_payload: Any = True,
        with_vectors: Any = False,
        **extras: Any,
    ) -> tuple[list[models.Record], Any]:
        refuse_extras("scroll", extras)
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
            with_payload=to_payload_choice(with_payload),
            with_vector=to_vector_choice(with_vectors),
            order_by=None if order_by is None else to_order_by(order_by),
        )
        with self.folder.collection(collection_name).shard("scroll") as shard:
            records, following = shard.scroll(request)
        after = following if following is None or isinstance(following, int) else str(following)
        return [to_record(record) for record in records], after

    def count(
        self,
        collection_name: str,
        count_filter: models.Filter | None = None,
        exact: bool = True,
        **extras: Any,
    ) -> models.CountResult:
        refuse_extras("count", extras)
        request = edge.CountRequest(exact=exact, filter=to_engine_filter(count_filter))
        with self.folder.collection(collection_name).shard("count") as shard:
            return models.CountResult(count=shard.count(request))

    def facet(
        self,
        collection_name: str,
        key: str,
        facet_filter: models.Filter | None = None,
        limit: int = 10,
        exact: bool = False,
        **extras: Any,
    ) -> models.FacetResponse:
        refuse_extras("facet", extras)
        if limit < 1:
            raise ValueError(f"limit value {limit} is invalid. Must be 1 or larger.")
        with self.folder.collection(collection_name).shard("facet") as shard:
            request = edge.FacetRequest(key, limit, exact, to_engine_filter(facet_filter))
            hits = [
                models.FacetValueHit(value=cast(Any, hit.value), count=hit.count)
                for hit in shard.facet(request).hits
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
        **extras: Any,
    ) -> QueryResponse:
        refuse_extras("query_points", extras)
        asked = models.QueryRequest.model_construct(
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
        return self._answers(collection_name, [asked])[0]

    def query_batch_points(
        self, collection_name: str, requests: Sequence[models.QueryRequest], **extras: Any
    ) -> list[QueryResponse]:
        refuse_extras("query_batch_points", extras)
        for asked in requests:
            refuse_extras("query_batch_points", {"shard_key": asked.shard_key})
        return self._answers(collection_name, list(requests))

    def _answers(
        self, collection_name: str, asked: list[models.QueryRequest]
    ) -> list[QueryResponse]:
        collection = self.folder.collection(collection_name)
        translator = QueryTranslator(lambda *named: self._vector_of(collection, *named))
        requests = [translator.request(one) for one in asked]
        with collection.shard("query") as shard:
            found = shard.query_batch(edge.QueryBatchRequest(requests))
        return [
            QueryResponse.model_construct(
                points=[to_scored_point(point, bool(one.with_vector)) for point in points]
            )
            for one, points in zip(asked, found, strict=True)
        ]

    def _vector_of(
        self,
        collection: Collection,
        point_id: Any,
        using: str,
        lookup: models.LookupLocation | None,
    ) -> Any:
        """The stored vector of a point that a query names by its id."""
        if lookup is not None:
            refuse_extras("query_points", {"lookup_from.shard_key": lookup.shard_key})
            collection = self.folder.collection(lookup.collection)
            using = using if lookup.vector is None else lookup.vector
        with collection.shard("look up a point") as shard:
            records = shard.retrieve([point_id], False, True)
        if not records:
            raise ValueError(f"Point {point_id} is not found in the collection")
        vectors = records[0].vector
        vector = vectors.get(using) if isinstance(vectors, dict) else vectors
        if vector is None or (using and not isinstance(vectors, dict)):
            raise ValueError(f"Vector with name {using} for point {point_id} not found")
        return to_client_vector(vector)
