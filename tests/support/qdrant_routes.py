"""Qdrant's REST calls, each done by a `QdrantClient`."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from pydantic import TypeAdapter
from qdrant_client import models

from tests.support.cluster import cluster_status, collection_cluster
from tests.support.qdrant_calls import ApiError, Call, Route, bad_point_id, route, routes

Chosen = models.PointIdsList | models.FilterSelector

POINT_INSERTS: TypeAdapter[models.PointsBatch | models.PointsList] = TypeAdapter(
    models.PointInsertOperations
)
POINTS_SELECTOR: TypeAdapter[Chosen] = TypeAdapter(models.PointsSelector)


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Find the route of a request and the variables in its path."""
    for pattern, candidate in routes:
        if candidate.method == method and (found := pattern.fullmatch(path)):
            return candidate, {key: unquote(value) for key, value in found.groupdict().items()}
    return None


# Collections and aliases


@route("GET", "/collections")
def _list_collections(call: Call) -> Any:
    found = call.client.get_collections().collections
    readable = [one for one in found if call.readable is None or one.name in call.readable]
    return models.CollectionsResponse(collections=readable)


@route("POST", "/collections/aliases", changes_collections=True)
def _update_aliases(call: Call) -> Any:
    actions = call.read(TypeAdapter(models.ChangeAliasesOperation)).actions
    return call.leader.update_collection_aliases(change_aliases_operations=actions)


@route("GET", "/aliases")
def _list_aliases(call: Call) -> Any:
    found = call.client.get_aliases().aliases
    return models.CollectionsAliasesResponse(
        aliases=[a for a in found if call.readable is None or a.collection_name in call.readable]
    )


@route("GET", "/collections/{collection_name}/aliases")
def _list_collection_aliases(call: Call) -> Any:
    return call.client.get_collection_aliases(call.name)


@route("GET", "/collections/{collection_name}")
def _get_collection(call: Call) -> Any:
    info = call.client.get_collection(call.name)
    if call.cluster is None:
        call.settings.complete(call.settings.of(call.client, call.name), info)
    return info


@route("GET", "/cluster")
def _cluster(call: Call) -> Any:
    return cluster_status(call.cluster is not None)


@route("GET", "/collections/{collection_name}/cluster")
def _collection_cluster(call: Call) -> Any:
    settings = call.settings.of(call.leader, call.name)
    points = call.client.count(call.name).count
    return collection_cluster(settings.params, points, clustered=call.cluster is not None)


@route("GET", "/collections/{collection_name}/exists", needs_collection=False)
def _collection_exists(call: Call) -> Any:
    return models.CollectionExistence(exists=call.client.collection_exists(call.name))


@route("PUT", "/collections/{collection_name}", needs_collection=False, changes_collections=True)
def _create_collection(call: Call) -> Any:
    body = call.read(TypeAdapter(models.CreateCollection))
    if call.name in [alias.alias_name for alias in call.leader.get_aliases().aliases]:
        raise ApiError(
            400,
            f"Wrong input: Can't create collection with name {call.name}. Alias with the same name "
            "already exists",
        )
    if call.leader.collection_exists(call.name):
        raise ApiError(409, f"Wrong input: Collection `{call.name}` already exists!")
    options = {key: getattr(body, key) for key in models.CreateCollection.model_fields}
    call.settings.create(call.name, options)
    return call.leader.create_collection(
        call.name,
        vectors_config=options.pop("vectors"),
        sparse_vectors_config=options.pop("sparse_vectors"),
        **options,
    )


@route("PUT", "/collections/{collection_name}/vectors/{vector_name}", changes_collections=True)
def _create_vector_name(call: Call) -> Any:
    config = call.read(TypeAdapter(models.VectorNameConfig))
    return call.leader.create_vector_name(call.name, call.path["vector_name"], config)


@route("DELETE", "/collections/{collection_name}/vectors/{vector_name}", changes_collections=True)
def _delete_vector_name(call: Call) -> Any:
    return call.leader.delete_vector_name(call.name, call.path["vector_name"])


@route("PATCH", "/collections/{collection_name}", changes_collections=True)
def _update_collection(call: Call) -> Any:
    body = call.read(TypeAdapter(models.UpdateCollection))
    call.settings.update(call.settings.of(call.leader, call.name), body)
    changes = {
        "vectors_config": body.vectors,
        "sparse_vectors_config": body.sparse_vectors,
        "optimizers_config": body.optimizers_config,
        "collection_params": body.params,
        "hnsw_config": body.hnsw_config,
        "quantization_config": body.quantization_config,
        "metadata": body.metadata,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    if given:
        call.leader.update_collection(call.name, **given)
    return True


@route("DELETE", "/collections/{collection_name}", needs_collection=False, changes_collections=True)
def _delete_collection(call: Call) -> Any:
    names = [one.name for one in call.leader.get_collections().collections]
    if call.name not in names:  # also through an alias
        return False
    call.settings.delete(call.name)
    return call.leader.delete_collection(call.name)


@route("PUT", "/collections/{collection_name}/index", changes_collections=True)
def _create_index(call: Call) -> Any:
    body = call.read(TypeAdapter(models.CreateFieldIndex))
    return call.written(
        call.leader.create_payload_index(call.name, body.field_name, body.field_schema)
    )


@route("DELETE", "/collections/{collection_name}/index/{field_name}", changes_collections=True)
def _delete_index(call: Call) -> Any:
    return call.written(call.leader.delete_payload_index(call.name, call.path["field_name"]))


@route("PUT", "/collections/{collection_name}/vectors/{vector_name}", changes_collections=True)
def _create_vector_name(call: Call) -> Any:
    config = call.read(TypeAdapter(models.VectorNameConfig))
    return call.written(call.leader.create_vector_name(call.name, call.path["vector_name"], config))


@route("DELETE", "/collections/{collection_name}/vectors/{vector_name}", changes_collections=True)
def _delete_vector_name(call: Call) -> Any:
    return call.written(call.leader.delete_vector_name(call.name, call.path["vector_name"]))


# Points: reading


@route("POST", "/collections/{collection_name}/points")
def _retrieve(call: Call) -> Any:
    body = call.read(TypeAdapter(models.PointRequest))
    return call.client.retrieve(
        call.name,
        ids=body.ids,
        with_payload=True if body.with_payload is None else body.with_payload,
        with_vectors=body.with_vector or False,
    )


@route("POST", "/collections/{collection_name}/points/scroll")
def _scroll(call: Call) -> Any:
    body = call.read(TypeAdapter(models.ScrollRequest))
    order_by = body.order_by
    points, next_page = call.client.scroll(
        call.name,
        scroll_filter=body.filter,
        limit=10 if body.limit is None else body.limit,
        order_by=models.OrderBy(key=order_by) if isinstance(order_by, str) else order_by,
        offset=body.offset,
        with_payload=True if body.with_payload is None else body.with_payload,
        with_vectors=body.with_vector or False,
    )
    return models.ScrollResult(points=points, next_page_offset=next_page)


@route("POST", "/collections/{collection_name}/points/count")
def _count(call: Call) -> Any:
    return call.client.count(
        call.name, count_filter=call.read(TypeAdapter(models.CountRequest)).filter
    )


@route("POST", "/collections/{collection_name}/points/query")
def _query(call: Call) -> Any:
    request = call.read(TypeAdapter(models.QueryRequest))
    if request.limit == 0:
        raise ApiError(
            422,
            "Validation error in JSON body: [internal.limit: value 0 invalid, must be 1 or larger]",
        )
    return call.client.query_batch_points(call.name, [request])[0]


@route("POST", "/collections/{collection_name}/points/query/batch")
def _query_batch(call: Call) -> Any:
    batch = call.read(TypeAdapter(models.QueryRequestBatch))
    return call.client.query_batch_points(call.name, batch.searches)


@route("POST", "/collections/{collection_name}/points/query/groups")
def _query_groups(call: Call) -> Any:
    body = call.read(TypeAdapter(models.QueryGroupsRequest))
    return call.client.query_points_groups(
        call.name,
        group_by=body.group_by,
        query=body.query,
        using=body.using,
        prefetch=body.prefetch,
        query_filter=body.filter,
        search_params=body.params,
        limit=10 if body.limit is None else body.limit,
        group_size=3 if body.group_size is None else body.group_size,
        with_payload=False if body.with_payload is None else body.with_payload,
        with_vectors=body.with_vector or False,
        score_threshold=body.score_threshold,
        with_lookup=body.with_lookup,
        lookup_from=body.lookup_from,
    )


# Points: writing


@route("PUT", "/collections/{collection_name}/points")
def _upsert(call: Call) -> Any:
    body = call.read(POINT_INSERTS)
    points = body.batch if isinstance(body, models.PointsBatch) else body.points
    ids = points.ids if isinstance(points, models.Batch) else [point.id for point in points]
    for point_id in ids:  # local mode takes any integer
        if isinstance(point_id, int) and not 0 <= point_id < 2**64:
            raise bad_point_id(point_id)
    options = {"update_filter": body.update_filter, "update_mode": body.update_mode}
    try:
        return call.written(call.client.upsert(call.name, points=points, **options))
    except ValueError as error:
        if "Not existing vector name" in str(error) and not isinstance(points, models.Batch):
            for point in points:  # what stands before the wrong one is stored, as by a server
                call.client.upsert(call.name, points=[point], **options)
        raise


@route("POST", "/collections/{collection_name}/points/delete")
def _delete_points(call: Call) -> Any:
    return call.written(call.client.delete(call.name, call.read(POINTS_SELECTOR)))


def _chosen(body: models.SetPayload | models.DeletePayload) -> Chosen:
    if body.points is not None:
        return models.PointIdsList(points=body.points)
    if body.filter is not None:
        return models.FilterSelector(filter=body.filter)
    raise ApiError(400, "Format error in JSON body: No filter or points provided")


@route("POST", "/collections/{collection_name}/points/payload")
def _set_payload(call: Call) -> Any:
    body = call.read(TypeAdapter(models.SetPayload))
    return call.written(
        call.client.set_payload(call.name, body.payload, _chosen(body), key=body.key)
    )


@route("PUT", "/collections/{collection_name}/points/payload")
def _overwrite_payload(call: Call) -> Any:
    body = call.read(TypeAdapter(models.SetPayload))
    return call.written(call.client.overwrite_payload(call.name, body.payload, _chosen(body)))


@route("POST", "/collections/{collection_name}/points/payload/delete")
def _delete_payload(call: Call) -> Any:
    body = call.read(TypeAdapter(models.DeletePayload))
    return call.written(call.client.delete_payload(call.name, body.keys, _chosen(body)))


@route("POST", "/collections/{collection_name}/points/payload/clear")
def _clear_payload(call: Call) -> Any:
    return call.written(call.client.clear_payload(call.name, call.read(POINTS_SELECTOR)))


@route("POST", "/collections/{collection_name}/points/vectors/delete")
def _delete_vectors(call: Call) -> Any:
    body = call.read(TypeAdapter(models.DeleteVectors))
    chosen = models.SetPayload(payload={}, points=body.points, filter=body.filter)
    return call.written(call.client.delete_vectors(call.name, body.vector, _chosen(chosen)))


@route("PUT", "/collections/{collection_name}/points/vectors")
def _update_vectors(call: Call) -> Any:
    body = call.read(TypeAdapter(models.UpdateVectors))
    return call.written(
        call.client.update_vectors(call.name, body.points, update_filter=body.update_filter)
    )


@route("POST", "/collections/{collection_name}/points/batch")
def _batch(call: Call) -> Any:
    operations = call.read(TypeAdapter(models.UpdateOperations)).operations
    return [
        call.written(result) for result in call.client.batch_update_points(call.name, operations)
    ]
