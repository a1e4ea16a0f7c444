"""The back end starts before Qdrant, reports what is wrong, and recovers by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from examples.rag_backend.app import create_app
from rdr_qdrant import RDREmbeddings, connect
from rdr_qdrant.embedded import EmbeddedQdrant
from tests.rag_backend.conftest import COLLECTION, load, settings
from tests.rag_backend.serving import serving, until
from tests.support.faults import Slow, StallBefore, Status
from tests.support.qdrant_http_server import QdrantHTTPServer
from tests.support.strict_mode import STRICT

QUESTION = "Which river passes through ten countries?"


@pytest.fixture
def qdrant(demo: RDREmbeddings) -> Iterator[QdrantHTTPServer]:
    backend = QdrantClient(":memory:")
    load(backend, demo)
    with QdrantHTTPServer(backend) as server:
        yield server


def over(qdrant: QdrantHTTPServer, **changed: Any) -> Any:
    """A back end over this Qdrant, used with its API key: errors then have their reasons."""
    app = create_app(settings(qdrant_url=qdrant.url, api_key="tomato", **changed))
    return serving(app, ready=False, send_key=True)


def test_it_survives_outages_of_qdrant(qdrant: QdrantHTTPServer) -> None:
    qdrant.stop()
    with over(qdrant) as served:
        assert served.http.get("/livez").status_code == 200
        for _ in range(2):
            until(lambda: "does not answer" in str(served.health()["reason"]))
            assert served.http.get("/healthz").status_code == 503
            for path in ("/search", "/ask"):
                refused = served.http.post(path, json={"question": QUESTION})
                assert refused.status_code == 503
                assert "does not answer" in refused.json()["detail"]
                assert refused.headers["content-type"] == "application/problem+json"
                assert int(refused.headers["retry-after"]) > 0
            assert "rag_ready 0.0" in served.http.get("/metrics").text
            qdrant.start()
            served.until_ready()
            assert served.search(QUESTION).json()["passages"][0]["title"] == "Danube"
            assert [event for event, _ in served.ask(QUESTION)][-1] == "done"
            qdrant.stop()


def test_a_request_recovers_before_the_health_check(qdrant: QdrantHTTPServer) -> None:
    with over(qdrant, watch_seconds=1000) as served:
        served.until_ready()
        with qdrant.away():
            assert served.search(QUESTION).status_code == 503
            assert served.health()["status"] == "not ready"
        assert served.search(QUESTION).status_code == 200
        assert served.health()["status"] == "ready"


def test_a_rate_limit_of_qdrant_is_waited_for_and_is_no_outage(qdrant: QdrantHTTPServer) -> None:
    with over(qdrant, watch_seconds=1000) as served:
        served.until_ready()
        for seconds, status in ((1, 200), (60, 503)):
            qdrant.inject(Status(429, {"retry-after": str(seconds)}), match="POST .*/query.*")
            assert served.search(QUESTION).status_code == status
            assert served.health()["status"] == "ready"


def test_a_refused_key_is_reported_but_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    with (
        QdrantHTTPServer(api_key="right") as server,
        over(server, qdrant_api_key="wr0ng") as it,
    ):
        until(lambda: "refused the API key (401)" in str(it.health()["reason"]))
    assert "wr0ng" not in caplog.text


def test_the_collection_may_be_created_later(demo: RDREmbeddings) -> None:
    with QdrantHTTPServer() as server, over(server) as served:
        until(lambda: f"No collection '{COLLECTION}'" in str(served.health()["reason"]))
        assert served.search(QUESTION).status_code == 503
        load(connect(url=server.url), demo)
        served.until_ready()
        assert served.search(QUESTION).status_code == 200


def test_a_collection_that_appears_in_the_folder_is_found(
    demo: RDREmbeddings, tmp_path: Path
) -> None:
    app = create_app(settings(qdrant_path=tmp_path / "later", api_key="tomato"))
    with serving(app, ready=False, send_key=True) as served:
        until(lambda: f"No collection '{COLLECTION}'" in str(served.health()["reason"]))
        client = connect(path=tmp_path / "later")
        load(client, demo)
        client.close()
        served.until_ready()
        assert served.search(QUESTION).status_code == 200


def test_a_collection_replaced_by_another_pair_is_refused(
    qdrant: QdrantHTTPServer, tiny: RDREmbeddings, demo: RDREmbeddings
) -> None:
    with over(qdrant) as served:
        served.until_ready()
        client = connect(url=qdrant.url)
        client.delete_collection(COLLECTION)
        load(client, tiny)
        until(lambda: "numbers" in str(served.health()["reason"]))
        refused = served.search(QUESTION)
        assert refused.status_code == 503
        client.delete_collection(COLLECTION)
        load(client, demo)
        served.until_ready()
        assert served.search(QUESTION).json()["passages"][0]["title"] == "Danube"


def test_the_pair_may_be_two_folders(tiny: RDREmbeddings, tiny_pair: tuple[str, str]) -> None:
    context, question = tiny_pair
    with QdrantHTTPServer() as server:
        load(connect(url=server.url), tiny)
        with over(server, context_encoder=context, question_encoder=question) as served:
            served.until_ready()
            assert len(served.search(QUESTION, k=3).json()["passages"]) == 3


@pytest.mark.parametrize("fault", [StallBefore(12), Slow(7)])
def test_a_stalled_qdrant_is_a_timeout(qdrant: QdrantHTTPServer, fault: Any) -> None:
    with over(qdrant, search_seconds=4, watch_seconds=1000) as served:
        served.until_ready()
        qdrant.inject(fault, match=".*/points/query/batch")
        late = served.search(QUESTION)
        assert late.status_code == 504
        assert "too long" in late.json()["detail"]
        assert served.search(QUESTION).status_code == 200


def test_an_error_of_qdrant_is_503_and_health_has_its_message(qdrant: QdrantHTTPServer) -> None:
    with over(qdrant, watch_seconds=1000) as served:
        served.until_ready()
        qdrant.inject(Status(500), match=".*/points/query/batch")
        refused = served.search(QUESTION)
        assert refused.status_code == 503
        assert "Qdrant does not answer or rejects the request" in refused.json()["detail"]
        assert "Injected fault: 500" in served.health()["reason"]
        assert served.search(QUESTION).status_code == 200


@pytest.mark.parametrize(
    ("asked", "limits", "known", "message"),
    [
        (
            {"filter": {"title": "Danube"}},
            {},
            True,
            "No payload index .* by 'title'.*strict mode.*--payload-index title:TYPE",
        ),
        ({"k": 8}, {"max_query_limit": 7}, True, "k is 8.*at most 7 passages"),
        ({"k": 8}, {"max_query_limit": 7}, False, "k is 8.*at most 7 passages"),
        (
            {"filter": {"year": [1, 2, 3]}},
            {"filter_max_conditions": 2},
            True,
            "more than 2 conditions",
        ),
        (
            {"filter": {"year": [1, 2]}},
            {"read_rate_limit": 2},
            False,
            "larger than the collection allows.*fewer conditions",
        ),
    ],
)
def test_what_strict_mode_refuses_is_the_clients_error_and_no_outage(
    demo: RDREmbeddings,
    tmp_path: Path,
    asked: dict[str, Any],
    limits: dict[str, int],
    known: bool,
    message: str,
) -> None:
    """Whether the limits are known before the request, or from Qdrant's refusal of it."""
    with EmbeddedQdrant(tmp_path / "q") as backend, QdrantHTTPServer(backend) as qdrant:
        load(backend, demo)
        backend.create_payload_index(COLLECTION, "metadata.year", "integer")
        client = connect(url=qdrant.url)
        strict = STRICT.model_copy(update=limits)
        if known:
            client.update_collection(COLLECTION, strict_mode_config=strict)
        with over(qdrant, watch_seconds=1000) as served:
            served.until_ready()
            client.update_collection(COLLECTION, strict_mode_config=strict)
            for path in ("/search", "/ask"):
                refused = served.http.post(path, json={"question": QUESTION, **asked})
                assert refused.status_code == 422
                assert re.search(message, refused.json()["detail"]), refused.json()["detail"]
                assert COLLECTION not in refused.text
                assert qdrant.url not in refused.text
                assert served.http.get("/healthz").status_code == 200
            descriptions = qdrant.requests["GET /collections/{collection_name}"]
            assert served.search(QUESTION).status_code == 200
            assert qdrant.requests["GET /collections/{collection_name}"] == descriptions, "reopened"


def test_a_default_number_of_passages_above_the_limit_is_not_ready(demo: RDREmbeddings) -> None:
    strict = models.StrictModeConfig(enabled=True, max_query_limit=7)
    with QdrantHTTPServer(strict=strict) as qdrant:
        load(connect(url=qdrant.url), demo)
        with over(qdrant, k=8) as served:
            until(lambda: "at most 7 results" in str(served.health()["reason"]))
            assert served.search(QUESTION).status_code == 503
