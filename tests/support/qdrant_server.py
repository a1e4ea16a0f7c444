"""The test server as a process: prints its URL when it is ready, and serves until it is killed.

With --grpc it also serves the gRPC calls of a load, and prints that port after the URL.

python -m tests.support.qdrant_server --port 6333
python -m tests.support.qdrant_server --port 0 --cluster --delay 0.2 --node-down
python -m tests.support.qdrant_server --port 0 --strict '{"max_query_limit": 20}'
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
from contextlib import ExitStack, suppress

from qdrant_client import models

from rdr_qdrant.embedded import EmbeddedQdrant
from tests.support.cluster import Cluster
from tests.support.qdrant_grpc_server import QdrantGRPCServer
from tests.support.qdrant_http_server import QdrantHTTPServer
from tests.support.rights import Key


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A Qdrant REST server for tests.")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--grpc", action="store_true", help="serve gRPC at a free port")
    parser.add_argument("--path", help="folder to keep the data in (default: a temporary one)")
    parser.add_argument("--version", default="1.20.0", help="the version that it reports")
    parser.add_argument("--api-key-env", help="environment variable that holds the API key")
    parser.add_argument("--read-only-key-env", help="environment variable of a key that only reads")
    parser.add_argument("--cluster", action="store_true", help="answer like three nodes")
    parser.add_argument(
        "--delay", type=float, default=0.2, help="seconds until the last node sees a change"
    )
    parser.add_argument("--node-down", action="store_true", help="one of the nodes is away")
    parser.add_argument("--strict", help="JSON: strict mode of each new collection")
    options = parser.parse_args()
    if options.node_down and not options.cluster:
        parser.error("--node-down needs --cluster")
    if options.read_only_key_env and not options.api_key_env:
        parser.error("--read-only-key-env needs --api-key-env")
    strict = None
    if options.strict:
        strict = models.StrictModeConfig(enabled=True, **json.loads(options.strict))
    cluster = None
    if options.cluster:
        cluster = Cluster((0.0, options.delay), node_down=options.node_down)
    with ExitStack() as stack:
        path = options.path or stack.enter_context(tempfile.TemporaryDirectory())
        keys = {}
        if options.read_only_key_env:
            keys[os.environ[options.read_only_key_env]] = Key("read")
        backend = stack.enter_context(EmbeddedQdrant(path))
        server = QdrantHTTPServer(
            backend,
            os.environ[options.api_key_env] if options.api_key_env else None,
            port=options.port,
            version=options.version,
            keys=keys,
            cluster=cluster,
            strict=strict,
        )
        stack.enter_context(server)
        grpc_port = ""
        if options.grpc:
            grpc_port = f" {stack.enter_context(QdrantGRPCServer(backend)).port}"
        print(f"{server.url}{grpc_port}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
