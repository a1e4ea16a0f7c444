"""What others made stays; two loads at once do no harm; what is too large is not stuck on."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from qdrant_client import QdrantClient, models

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.collection import upload
from rdr_qdrant.errors import CollectionError
from rdr_qdrant.readers import Reject
from tests.conftest import COLLECTION
from tests.support.faults import ResetAfter, StallAfter, Status
from tests.support.qdrant_http_server import QdrantHTTPServer

PARAMS = models.VectorParams(size=32, distance=models.Distance.DOT)


def test_recreating_deletes_only_what_we_made(client: QdrantClient, tiny: RDREmbeddings) -> None:
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION, recreate=True)
    assert loader.load([Passage("1", "river"), Passage("2", "king")]).points == 2
    assert loader.load([Passage("3", "city")]).points == 1
    client.delete_collection(COLLECTION)
    client.create_collection(COLLECTION, vectors_config=PARAMS)
    client.upsert(COLLECTION, [models.PointStruct(id=1, vector=[1.0] * 32)])
    with pytest.raises(CollectionError, match="does not say that rdr-qdrant made it"):
        loader.load([Passage("3", "city")])
    assert client.count(COLLECTION).count == 1


def test_recreating_in_a_dry_run_deletes_nothing(client: QdrantClient, tiny: RDREmbeddings) -> None:
    loader = QdrantLoader(embeddings=tiny, client=client, collection_name=COLLECTION)
    loader.load([Passage("1", "river"), Passage("2", "king")])
    loader.recreate = loader.dry_run = True
    report = loader.load([Passage("1", "river")])
    assert (report.uploaded, report.points) == (1, 2)


def test_a_dry_run_into_nothing_loads_no_encoder_and_makes_nothing(client: QdrantClient) -> None:
    nowhere = RDREmbeddings(context_encoder="./missing", question_encoder="./missing")
    loader = QdrantLoader(
        embeddings=nowhere, client=client, collection_name=COLLECTION, dry_run=True
    )
    assert loader.load([Passage("1", "river")]).uploaded == 1
    assert not client.collection_exists(COLLECTION)


def test_a_point_of_other_software_is_not_overwritten(
    client: QdrantClient, tiny: RDREmbeddings
) -> None:
    client.create_collection(COLLECTION, vectors_config=PARAMS)
    client.upsert(COLLECTION, [models.PointStruct(id=1, vector=[1.0] * 32, payload={"mine": 1})])
    rejects: list[Reject] = []
    loader = QdrantLoader(
        embeddings=tiny,
        client=client,
        collection_name=COLLECTION,
        allow_unverified=True,
        on_reject=rejects.append,
    )
    report = loader.load([Passage("1", "river"), Passage("2", "king")])
    assert (report.uploaded, report.rejected, report.verified) == (1, 1, 1)
    assert rejects[0].reason == "its point id is taken by a point that other software wrote"
    assert client.retrieve(COLLECTION, [1])[0].payload == {"mine": 1}


def test_two_loads_into_one_collection_at_once(tiny: RDREmbeddings) -> None:
    passages = [Passage(str(n), f"river {n}", metadata={"n": n}) for n in range(60)]
    together = threading.Barrier(2)

    def load(url: str) -> tuple[int, int]:
        client = connect(url=url)
        loader = QdrantLoader(embeddings=tiny, client=client, collection_name="c", batch_size=5)
        together.wait()
        report = loader.load(passages)
        client.close()
        return report.uploaded + report.unchanged, report.verified

    with QdrantHTTPServer() as server, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(load, [server.url] * 2)) == [(60, 60), (60, 60)]
        client = connect(url=server.url)
        assert client.count("c").count == 60
        client.close()


def test_a_collection_whose_creation_was_not_acknowledged_is_used(tiny: RDREmbeddings) -> None:
    with QdrantHTTPServer() as server:
        client = connect(url=server.url)
        server.inject(ResetAfter(), match="PUT /collections/c")
        report = QdrantLoader(embeddings=tiny, client=client, collection_name="c").load(
            [Passage("1", "river")]
        )
        assert (report.points, report.verified, report.retries) == (1, 1, 1)
        client.close()


@pytest.mark.parametrize("status", [400, 413])
def test_requests_keep_below_the_servers_limit_and_are_halved_where_they_do_not(
    tiny: RDREmbeddings, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    passages = [Passage(str(n), "x" * 3000) for n in range(20)] + [Passage("big", "y" * 40_000)]
    rejects: list[Reject] = []
    with QdrantHTTPServer(max_request_bytes=20_000, oversize_status=status) as server:
        client = connect(url=server.url)
        loader = QdrantLoader(
            embeddings=tiny, client=client, collection_name="c", on_reject=rejects.append
        )
        report = loader.load(passages)
        assert (report.uploaded, report.rejected, report.points, report.verified) == (20, 1, 20, 20)
        assert rejects[0].reason == "larger than Qdrant takes in one request"
        monkeypatch.setattr(upload, "MAX_REQUEST_BYTES", 19_000)
        server.requests.clear()
        loader.collection_name = "d"
        assert loader.load(passages[:20]).uploaded == 20
        writes = server.requests["PUT /collections/{collection_name}/points"]
        assert writes == 4, "five of 3,500 bytes at a time, none refused"
        client.close()


def test_a_lost_answer_to_a_change_of_metadata_is_no_harm(tiny: RDREmbeddings) -> None:
    with QdrantHTTPServer() as server:
        client = connect(url=server.url)
        loader = QdrantLoader(embeddings=tiny, client=client, collection_name="c")
        loader.load([Passage("1", "river", metadata={"a": 1})])
        server.inject(ResetAfter(), match="POST .*/points/batch")
        server.inject(StallAfter(0.05), match="POST .*/points/batch")
        server.inject(Status(503), match="POST .*/points/batch")
        report = loader.load([Passage("1", "river", metadata={"b": 2})])
        assert (report.updated, report.retries, report.compared) == (1, 3, 1)
        client.close()
