"""Where `feeding.py` loads to: a process that speaks Qdrant's REST and gRPC, and confirms."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for the process

import orjson
from qdrant_client import QdrantClient
from qdrant_client import grpc as messages
from qdrant_client.conversions.conversion import GrpcToRest

from benchmarks.feeding_corpus import DISTINCT, VECTORS, payload
from tests.support.http_listener import Listener, Reply, Request
from tests.support.qdrant_grpc_server import GrpcPoints, QdrantGRPCServer
from tests.support.qdrant_http_server import QdrantHTTPServer


@dataclass
class Ids:
    """The ids that were sent, and perhaps the points.

    Attributes:
        stored: the ids.
        points: payloads and vectors by id, each to be called for, if they are kept.
    """

    stored: set[int] = field(default_factory=set)
    points: dict[int, Callable[[], tuple[dict[str, Any], Sequence[float]]]] | None = None

    def answer(
        self, asked: Sequence[int], *, payloads: bool, vectors: bool
    ) -> list[dict[str, Any]]:
        """The points of these ids that were sent: as they were, or else as they must have been."""
        found: list[dict[str, Any]] = [{"id": one} for one in asked if one in self.stored]
        for point in found:
            if not payloads and not vectors:
                continue
            if self.points is None:
                content = payload(point["id"]), VECTORS[point["id"] % DISTINCT]
            else:
                content = self.points[point["id"]]()
            if payloads:
                point["payload"] = content[0]
            if vectors:
                point["vector"] = [float(number) for number in content[1]]
        return found


class RestSink(QdrantHTTPServer):
    """Keeps ids; collections are those of an empty Qdrant in memory."""

    def __init__(self, ids: Ids, backend: QdrantClient) -> None:
        super().__init__(backend, max_request_bytes=1 << 30)
        self._ids = ids

    def answer(self, listener: Listener, request: Request) -> Reply | None:
        if request.method == "PUT" and request.path.endswith("/points"):
            ids = re.findall(rb'[{,]"id":(\d+)', request.body)
            for several in re.findall(rb'"ids":\[([\d,]+)\]', request.body):
                ids += several.split(b",")
            if self._ids.points is not None:
                for point in orjson.loads(request.body)["points"]:
                    content = point["payload"], point["vector"]
                    self._ids.points[point["id"]] = partial(tuple, content)
            self._ids.stored.update(map(int, ids))
            return _reply({"operation_id": 1, "status": "completed"})
        if request.method == "POST" and request.path.endswith("/points"):
            body = orjson.loads(request.body)
            wanted = {"payloads": body.get("with_payload"), "vectors": body.get("with_vector")}
            return _reply(self._ids.answer(body["ids"], **wanted))
        if request.path.endswith("/points/count"):
            return _reply({"count": len(self._ids.stored)})
        return super().answer(listener, request)


def _reply(result: Any) -> Reply:
    return Reply(200, orjson.dumps({"result": result, "status": "ok", "time": 0.0}))


class GrpcSink(GrpcPoints):
    """Keeps ids, and in memory whole points where it is told so."""

    def __init__(self, ids: Ids, backend: QdrantClient) -> None:
        super().__init__(backend)
        self._ids = ids

    def Upsert(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self._ids.points is not None:
            for point in request.points:
                self._ids.points[point.id.num] = partial(_content, point)
        self._ids.stored.update([point.id.num for point in request.points])
        status = messages.UpdateStatus.Completed
        return messages.PointsOperationResponse(result=messages.UpdateResult(status=status))


def _content(point: Any) -> tuple[dict[str, Any], Sequence[float]]:
    return GrpcToRest.convert_payload(point.payload), point.vectors.vector.dense.data


def serve(*, keeps_points: bool) -> None:
    """Serve REST and gRPC until standard input ends; prints the ports."""
    ids, backend = Ids(points={} if keeps_points else None), QdrantClient(":memory:")
    grpc = QdrantGRPCServer(backend, GrpcSink(ids, backend))
    with RestSink(ids, backend) as rest, grpc:
        print(rest.url, grpc.port, flush=True)
        sys.stdin.read()


@contextmanager
def sink(kept: str = "ids") -> Iterator[tuple[str, int]]:
    """A sink in another process that keeps ids or points: its URL and gRPC port."""
    command = [sys.executable, __file__, kept]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    try:
        url, port = process.stdout.readline().split()
        yield url, int(port)
    finally:
        process.stdin.close()
        process.wait()


def client_of(kind: str, url: str, port: int) -> QdrantClient:
    """A client that sends points over REST or gRPC."""
    return QdrantClient(
        url=url,
        grpc_port=port if kind == "grpc" else 6334,
        timeout=60,
        check_compatibility=False,
    )


if __name__ == "__main__":
    serve(keeps_points=sys.argv[1] == "points")
