"""The gRPC calls of a load, answered by an embedded Qdrant."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from qdrant_client import QdrantClient
from qdrant_client import grpc as messages
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.grpc.collections_service_pb2_grpc import (
    CollectionsServicer,
    add_CollectionsServicer_to_server,
)
from qdrant_client.grpc.points_service_pb2_grpc import PointsServicer, add_PointsServicer_to_server


class _Collections(CollectionsServicer):
    def __init__(self, backend: QdrantClient) -> None:
        self._backend = backend

    def List(self, request: Any, context: Any) -> Any:  # noqa: N802
        names = [one.name for one in self._backend.get_collections().collections]
        found = [messages.CollectionDescription(name=name) for name in names]
        return messages.ListCollectionsResponse(collections=found)

    def CollectionExists(self, request: Any, context: Any) -> Any:  # noqa: N802
        exists = self._backend.collection_exists(request.collection_name)
        return messages.CollectionExistsResponse(result=messages.CollectionExists(exists=exists))

    def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
        info = self._backend.get_collection(request.collection_name)
        return messages.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))


class GrpcPoints(PointsServicer):
    def __init__(self, backend: QdrantClient) -> None:
        self._backend = backend

    def Upsert(self, request: Any, context: Any) -> Any:  # noqa: N802
        points = [GrpcToRest.convert_point_struct(point) for point in request.points]
        self._backend.upsert(request.collection_name, points)
        status = messages.UpdateStatus.Completed
        return messages.PointsOperationResponse(result=messages.UpdateResult(status=status))

    def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
        records = self._backend.retrieve(
            request.collection_name,
            [GrpcToRest.convert_point_id(one) for one in request.ids],
            with_payload=GrpcToRest.convert_with_payload_selector(request.with_payload),
            with_vectors=GrpcToRest.convert_with_vectors_selector(request.with_vectors),
        )
        for record in records:
            record.payload = record.payload or {}
        return messages.GetResponse(result=[RestToGrpc.convert_record(one) for one in records])

    def Count(self, request: Any, context: Any) -> Any:  # noqa: N802
        count = self._backend.count(request.collection_name).count
        return messages.CountResponse(result=messages.CountResult(count=count))


@contextmanager
def grpc_server(backend: QdrantClient, points: PointsServicer | None = None) -> Iterator[int]:
    """Serve a Qdrant over gRPC on 127.0.0.1; the port."""
    server = grpc.server(ThreadPoolExecutor(2))
    add_CollectionsServicer_to_server(_Collections(backend), server)
    add_PointsServicer_to_server(points or GrpcPoints(backend), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()
