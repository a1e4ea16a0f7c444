"""A load on several machines, some of which are lost; each is a Ray node on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rdr_qdrant import LoadReport, Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.errors import SourceError
from tests.conftest import COLLECTION
from tests.support.faults import Status
from tests.support.qdrant_http_server import QdrantHTTPServer

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

from rdr_qdrant.ingest.ray import (  # noqa: E402
    RayExecutor,
    WorkerError,
    ray_executor,
    ray_pipeline,
)

ROOT = Path(__file__).parents[2]
ROWS = 300
STORE = 80 * 2**20


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The driver's machine, without a core for workers, and two others with one each."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE}
    )
    cluster.others = [cluster.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(2)]
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def server() -> Iterator[QdrantHTTPServer]:
    with QdrantHTTPServer() as server:
        yield server


def test_a_lost_machine_costs_nothing_but_time(
    cluster: Cluster,
    server: QdrantHTTPServer,
    tiny: RDREmbeddings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (ray_pipeline, ray_executor):
        monkeypatch.setattr(module, "SECONDS_BETWEEN_CLUSTER_CHECKS", 0.3)
    passages = [Passage(str(n), f"river {n}") for n in range(ROWS)]
    client = connect(url=server.url)

    def broken_stream() -> Iterator[Passage]:
        yield from passages
        raise SourceError("The stream broke.")

    def load(
        name: str, given: Iterator[Passage], executor: RayExecutor, machines: int
    ) -> LoadReport:
        def lose_machine(report: LoadReport) -> None:
            if report.uploaded and len(cluster.others) > machines:
                server.inject(Status(503), times=10**6, match="PUT .*/points")
                cluster.remove_node(cluster.others.pop())  # meanwhile nothing is written
                server.clear_faults()

        loader = QdrantLoader(
            embeddings=executor.embeddings,
            executor=executor,
            client=client,
            collection_name=name,
            batch_size=6,
            on_progress=lose_machine,
        )
        return loader.load(given)

    one, none = f"{COLLECTION}-one", f"{COLLECTION}-none"
    with RayExecutor(tiny, url=server.url, address=cluster.address, workers=2) as executor:
        with pytest.raises(SourceError, match="The stream broke"):
            load(one, broken_stream(), executor, machines=1)
        assert client.count(one).count == ROWS
        with pytest.raises(WorkerError, match="No machine with a CPU for a worker is left"):
            load(none, iter(passages), executor, machines=0)
        kept = client.count(none).count
        assert 0 < kept < ROWS
        # if a thread waited for a machine still, leaving the cluster could end this process
        names = [thread.name for thread in threading.enumerate()]
        assert not [name for name in names if name.startswith(("ray-data", "StreamingExecutor"))]
        with pytest.raises(WorkerError, match="No machine with a CPU for a worker is left"):
            list(executor.embeddings.encode_batches(passages[:1]))
        with pytest.raises(WorkerError, match="No machine with a CPU for a worker is left"):
            load(none, iter(passages), executor, machines=0)
    # what is left to do stands in the collections, so threads resume as well
    for name, unchanged in ((one, ROWS), (none, kept)):
        threads = QdrantLoader(embeddings=tiny, client=client, collection_name=name)
        report = threads.load(passages)
        assert (report.unchanged, report.uploaded) == (unchanged, ROWS - unchanged)
        assert report.verified == ROWS
    client.close()
