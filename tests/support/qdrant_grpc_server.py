"""The gRPC calls of a load, answered by an embedded Qdrant, and faults on command.

    with QdrantGRPCServer(backend) as server:
        client = connect(url, grpc_port=server.port)
        server.inject(ResetAfter(), match="GRPC /Points/Upsert")

Other calls are UNIMPLEMENTED. A fault of HTTP has its nearest likeness: a reset connection is
UNAVAILABLE, a status the code that a Qdrant or a proxy has for it, a restart a server that goes.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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

from tests.support.faults import (
    EVERY_CALL,
    Fault,
    FaultPlan,
    HalfAnswer,
    ResetAfter,
    ResetBefore,
    Restart,
    Slow,
    StallAfter,
    StallBefore,
    Status,
)

CODES = {
    400: grpc.StatusCode.OUT_OF_RANGE,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    502: grpc.StatusCode.UNKNOWN,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


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
        if not self._backend.collection_exists(request.collection_name):
            missing = f"Not found: Collection `{request.collection_name}` doesn't exist!"
            context.abort(grpc.StatusCode.NOT_FOUND, missing)
        info = self._backend.get_collection(request.collection_name)
        return messages.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        metadata = GrpcToRest.convert_payload(request.metadata)
        self._backend.update_collection(request.collection_name, metadata=metadata)
        return messages.CollectionOperationResponse(result=True)


class GrpcPoints(PointsServicer):
    """The calls on points, done by a client."""

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


class QdrantGRPCServer:
    """Answers on 127.0.0.1 from `backend`, which stays open.

    Args:
        backend: has the collections.
        points: does the calls on points, by default with `backend`.
    """

    def __init__(self, backend: QdrantClient, points: PointsServicer | None = None) -> None:
        self.faults = FaultPlan()
        self.requests: Counter[str] = Counter()
        """How often each "GRPC /Service/Call" was asked, faulted or not."""
        self.port = 0
        self._collections = _Collections(backend)
        self._points = points or GrpcPoints(backend)
        self._server: grpc.Server | None = None
        self._lifecycle = threading.RLock()
        self._closed = False

    def __enter__(self) -> QdrantGRPCServer:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lifecycle:
            self._closed = True
            self.stop()

    def inject(self, fault: Fault, times: int = 1, match: str = EVERY_CALL) -> None:
        """Let the next `times` calls whose whole "GRPC /Service/Call" matches suffer `fault`."""
        self.faults.inject(fault, times, match)

    def start(self) -> None:
        """Listen, on the same port as before."""
        with self._lifecycle:
            if self._server is None and not self._closed:
                server = grpc.server(ThreadPoolExecutor(4), interceptors=[_Faults(self)])
                add_CollectionsServicer_to_server(self._collections, server)
                add_PointsServicer_to_server(self._points, server)
                self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
                server.start()
                self._server = server

    def stop(self) -> None:
        """Refuse connections and cut those open."""
        with self._lifecycle:
            server, self._server = self._server, None
            if server is not None:
                server.stop(None).wait()

    def restart(self, seconds: float) -> None:
        """Go away now, and come back in `seconds`."""

        def run() -> None:
            self.stop()
            time.sleep(seconds)
            self.start()

        threading.Thread(target=run, daemon=True).start()

    def suffer(self, call: str, act: Callable[[Any, Any], Any], request: Any, context: Any) -> Any:
        """Do a call, or what happens to it instead."""
        self.requests[call] += 1
        gone = grpc.StatusCode.UNAVAILABLE, "Socket closed"
        match self.faults.take(call):
            case Status(code, headers, body):
                wait = [(key.lower(), value) for key, value in headers.items()]
                context.set_trailing_metadata(wait)
                context.abort(CODES[code], body or f"Injected fault: {code}")
            case ResetBefore():
                context.abort(*gone)
            case ResetAfter() | HalfAnswer():
                act(request, context)
                context.abort(*gone)
            case StallBefore(seconds):
                time.sleep(seconds)
                context.abort(*gone)
            case StallAfter(seconds):
                act(request, context)
                time.sleep(seconds)
                context.abort(*gone)
            case Restart(seconds):
                self.restart(seconds)
                context.abort(*gone)
            case Slow(seconds):
                time.sleep(seconds)
        return act(request, context)


class _Faults(grpc.ServerInterceptor):
    def __init__(self, server: QdrantGRPCServer) -> None:
        self._server = server

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = continuation(details)
        if handler is None:
            return None
        call = f"GRPC {details.method.replace('qdrant.', '')}"
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._server.suffer(
                call, handler.unary_unary, request, context
            ),
            handler.request_deserializer,
            handler.response_serializer,
        )
