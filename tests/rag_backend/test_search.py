from __future__ import annotations

import logging
import threading
from pathlib import Path

import httpx
import pytest

from examples.rag_backend.app import create_app
from examples.rag_backend.retrieval import Retrieval
from tests.rag_backend.conftest import settings
from tests.rag_backend.serving import Served, serving

QUESTION = "Which river passes through ten countries?"
PROBLEM = "application/problem+json"


def test_passages_have_ranks_and_scores(backend: Served) -> None:
    found = backend.search(QUESTION, k=3).json()
    scores = [passage["score"] for passage in found["passages"]]
    assert [passage["rank"] for passage in found["passages"]] == [1, 2, 3]
    assert scores == sorted(scores, reverse=True)
    assert found["passages"][0]["title"] == "Danube"
    assert found["passages"][0]["id"] == "1"
    assert "ten countries" in found["passages"][0]["text"]
    assert found["seconds"] > 0


def test_filters_and_thresholds(backend: Served) -> None:
    [only] = backend.search(QUESTION, filter={"title": "Rhine"}).json()["passages"]
    assert only["title"] == "Rhine"
    either = backend.search(QUESTION, filter={"title": ["Rhine", "Nile"]}).json()["passages"]
    assert {passage["title"] for passage in either} == {"Rhine", "Nile"}
    assert backend.search(QUESTION, score_threshold=99).json()["passages"] == []


def test_a_filter_by_an_unknown_key_is_warned_about(backend: Served) -> None:
    found = backend.search(QUESTION, filter={"titel": "Rhine"}).json()
    assert found["passages"] == []
    [warning] = found["warnings"]
    assert warning.startswith("No passage has the metadata 'titel'. There are: id, ")
    [(event, data), _] = backend.ask(QUESTION, filter={"titel": "Rhine"})
    assert (event, data["warnings"]) == ("passages", [warning])
    [odd] = backend.search(QUESTION, filter={"Titel [de]": "Rhine", "title": "Rhine"}).json()[
        "warnings"
    ]
    assert odd.startswith("No passage has the metadata 'Titel [de]'. There are: id, ")
    for filter in ({}, {"title": "Rhine"}, {"title": "Nobody"}):
        assert backend.search(QUESTION, filter=filter).json()["warnings"] == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"question": "  "}, "question: "),
        ({"question": "x" * 1001}, "question: 1,001 characters; at most 1,000"),
        ({"question": "x", "k": 0}, "k: "),
        ({"question": "x", "k": 51}, "k: 51 passages; at most 50"),
        ({"question": "x", "depth": 3}, "depth: "),
        ({"question": "x", "filter": {'a"b': "c"}}, "filter."),
        ({"question": "x", "filter": {"a": {"b": "c"}}}, "filter."),
        ({"question": "x", "filter": {"a": 2**63}}, "filter."),
        ({}, "question: "),
    ],
)
def test_invalid_requests_are_refused_with_a_reason(
    backend: Served, body: dict[str, object], reason: str
) -> None:
    response = backend.http.post("/search", json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == PROBLEM
    assert response.json()["detail"].startswith(reason)
    assert "x" * 20 not in response.text  # the input is not echoed


@pytest.mark.parametrize("body", [b'{"question": "\\ud800"}', b"{", b"\xff", b"[]", b"null"])
def test_broken_json_is_a_client_error(backend: Served, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = backend.http.post("/search", content=body, headers=headers)
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == PROBLEM


def test_a_large_body_is_refused_with_or_without_its_length(backend: Served) -> None:
    body = b'{"question": "' + b"x" * 20_000 + b'"}'
    headers = {"Content-Type": "application/json"}
    for content in (body, iter([body[:9000], body[9000:]])):
        response = backend.http.post("/search", content=content, headers=headers)
        assert response.status_code == 413
        assert response.headers["content-type"] == PROBLEM


def test_the_key_is_required_and_never_logged(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="rag_backend")
    caplog.set_level(logging.DEBUG, logger="examples")
    app = create_app(settings(qdrant_path=folder / "none", api_key="tomato-7"))
    with serving(app, ready=False) as served:
        for headers in ({}, {"X-API-Key": "tomato-8"}, {"Authorization": "Bearer ünknown"}):
            encoded = {name: value.encode("latin-1") for name, value in headers.items()}
            for path in ("/search", "/ask", "/metrics"):
                method = "GET" if path == "/metrics" else "POST"
                response = served.http.request(
                    method, path, json={"question": "secret words"}, headers=encoded
                )
                assert response.status_code == 401
                assert response.headers["www-authenticate"].startswith("Bearer")
        for headers in ({"X-API-Key": "tomato-7"}, {"Authorization": "Bearer tomato-7"}):
            assert served.http.get("/metrics", headers=headers).status_code == 200
            body = {"question": "secret words"}
            assert served.http.post("/search", json=body, headers=headers).status_code == 503
        assert served.http.get("/livez").status_code == 200
        assert served.http.get("/").status_code == 200
    assert '"status": 401' in caplog.text
    assert "tomato" not in caplog.text
    assert "secret words" not in caplog.text


def test_the_rate_limit_answers_with_retry_after(folder: Path) -> None:
    app = create_app(settings(qdrant_path=folder / "none", search_rate="2/minute"))
    with serving(app, ready=False) as served:
        statuses = [served.search(QUESTION).status_code for _ in range(3)]
        assert statuses == [503, 503, 429]
        assert 1 <= int(served.search(QUESTION).headers["retry-after"]) <= 60


def test_requests_above_the_concurrency_limit_get_503(own_folder: Path) -> None:
    app = create_app(settings(qdrant_path=own_folder, requests_at_once=2))
    with serving(app) as served:
        statuses: list[int] = []

        def many() -> None:
            with httpx.Client(base_url=served.url, timeout=60) as http:
                for _ in range(10):
                    body = {"question": QUESTION}
                    statuses.append(http.post("/search", json=body).status_code)

        threads = [threading.Thread(target=many) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200, 503}
        assert served.search(QUESTION).status_code == 200


def test_an_unexpected_error_is_logged_under_its_request_id(
    backend: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*asked: object, **more: object) -> None:
        raise ValueError("an unexpected error")

    monkeypatch.setattr(Retrieval, "search", broken)
    response = backend.search(QUESTION)
    assert response.status_code == 500
    assert response.headers["content-type"] == PROBLEM
    assert "unexpected" not in response.text
    assert f"Request {response.headers['x-request-id']} failed" in caplog.text
    assert "ValueError: an unexpected error" in caplog.text


def test_metrics(backend: Served) -> None:
    backend.search(QUESTION)
    backend.http.get("/nothing/here")
    text = backend.http.get("/metrics").text
    assert 'rag_requests_total{route="/search",status="200"}' in text
    assert 'rag_requests_total{route="other",status="404"}' in text
    assert "rag_ready 1.0" in text
    assert 'rag_stage_seconds_count{stage="search"}' in text


def test_the_api_documentation_is_self_contained(backend: Served) -> None:
    document = backend.http.get("/openapi.json").json()
    assert {"/search", "/ask", "/healthz", "/metrics"} <= set(document["paths"])
    errors = document["paths"]["/search"]["post"]["responses"]
    assert {"401", "413", "422", "429", "503", "504"} <= set(errors)
    for status in ("413", "422", "503"):
        assert list(errors[status]["content"]) == [PROBLEM]
    for page in ("/", "/docs"):
        html = backend.http.get(page).text
        assert "//" not in html.replace("<!doctype html>", "")
        assert "<script>" not in html
    assert backend.http.get("/swagger/swagger-ui-bundle.js").status_code == 200


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/healthz", "/nothing", "/docs"])
def test_every_response_has_security_headers(backend: Served, path: str) -> None:
    headers = backend.http.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert len(headers["x-request-id"]) == 16
