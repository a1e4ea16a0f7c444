"""A load on several machines, of which some are lost; each is a node of Ray's in this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import LoadReport, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.readers import open_source
from tests.conftest import COLLECTION
from tests.support.qdrant_http_server import QdrantHTTPServer

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

from rdr_qdrant.ingest.ray import RayEngine, WorkerError  # noqa: E402
from rdr_qdrant.ingest.ray import ray_pipeline as flow  # noqa: E402

ROOT = Path(__file__).parents[2]
ROWS = 600
STORE = 80 * 2**20


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The machine where the command is given, which has no cores to spare; two join it later."""
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
def client() -> Iterator[QdrantClient]:
    with QdrantHTTPServer() as server:
        client = connect(url=server.url)
        client.url = server.url
        yield client
        client.close()


def test_a_machine_that_is_lost_changes_nothing_but_the_time(
    cluster: Cluster,
    client: QdrantClient,
    tiny: RDREmbeddings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flow, "SECONDS_BETWEEN_ROLL_CALLS", 1.0)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": f"river {n}"}) + "\n" for n in range(ROWS)))

    def load(name: str, engine: RayEngine, machines: int) -> LoadReport:
        def lose(report: LoadReport) -> None:
            if report.uploaded and len(cluster.others) > machines:
                cluster.remove_node(cluster.others.pop())

        loader = QdrantLoader(
            embeddings=engine.embeddings,
            engine=engine,
            client=client,
            collection_name=name,
            batch_size=6,
            on_progress=lose,
        )
        return loader.load_sources([open_source(path)])

    with RayEngine(tiny, url=client.url, address=cluster.address, workers=2) as engine:
        report = load(f"{COLLECTION}-one", engine, machines=1)
    assert (report.uploaded, report.verified) == (ROWS, ROWS)
    with RayEngine(tiny, url=client.url, address=cluster.address, workers=1) as engine:
        with pytest.raises(WorkerError, match="No machine with a CPU for a worker is left"):
            load(f"{COLLECTION}-none", engine, machines=0)
        kept = client.count(f"{COLLECTION}-none").count
        assert 0 < kept < ROWS
        cluster.others.append(cluster.add_node(num_cpus=1, object_store_memory=STORE))
        cluster.wait_for_nodes()
        report = load(f"{COLLECTION}-none", engine, machines=1)
    assert (report.unchanged, report.uploaded) == (kept, ROWS - kept)
    assert report.verified == ROWS
