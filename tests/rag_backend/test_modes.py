"""Searching by words, by meaning and by both; a collection may get BM25 while the back end runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import Select

from examples.rag_backend.app import create_app
from examples.rag_backend.dynamic_batching import DynamicBatcher
from rdr_qdrant.collection import Collection
from rdr_qdrant.embedded import EmbeddedQdrant
from tests.rag_backend.conftest import COLLECTION, settings
from tests.rag_backend.serving import Served, serving, until
from tests.rag_backend.test_page import answered, ask, check_accessible, one, wait
from tests.rag_backend.test_page import browser as browser
from tests.support.qdrant_http_server import QdrantHTTPServer

QUESTION = "Where is the zorblax crystal kept?"


@pytest.fixture
def qdrant(own_folder: Path) -> Iterator[QdrantHTTPServer]:
    """A server whose collection has no BM25."""
    with EmbeddedQdrant(own_folder) as engine, QdrantHTTPServer(engine) as server:
        yield server


@pytest.fixture(scope="module")
def with_bm25(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A back end over a collection with BM25."""
    own = shutil.copytree(folder, tmp_path_factory.mktemp("bm25") / "q")
    with EmbeddedQdrant(own) as client:
        Collection(client, COLLECTION).bm25.add()
    with serving(create_app(settings(qdrant_path=own))) as served:
        yield served


def add_bm25(qdrant: QdrantHTTPServer) -> None:
    client = QdrantClient(url=qdrant.url)
    Collection(client, COLLECTION).bm25.add()
    client.close()


def test_each_request_may_name_its_mode(with_bm25: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    batched = DynamicBatcher.__call__

    def counted(batcher: DynamicBatcher, questions: list[str]) -> object:
        encoded.extend(questions)
        return batched(batcher, questions)

    monkeypatch.setattr(DynamicBatcher, "__call__", counted)
    scores = {}
    for mode in (None, "dense", "bm25", "hybrid"):
        asked = f"{QUESTION} In mode {mode}?"
        found = with_bm25.search(asked, **({"mode": mode} if mode else {})).json()
        assert found["mode"] == mode or (mode is None and found["mode"] == "dense")
        assert found["passages"][0]["id"] == "hostile"
        assert (asked in encoded) == (mode != "bm25")
        scores[mode] = found["passages"][0]["score"]
    assert len(set(scores.values())) == 4
    [(event, passages), *_] = with_bm25.ask(QUESTION, mode="hybrid")
    assert (event, passages["mode"]) == ("passages", "hybrid")


def test_what_a_mode_cannot_do_is_the_clients_error(with_bm25: Served) -> None:
    refused = with_bm25.search(QUESTION, mode="hybrid", score_threshold=1)
    assert refused.status_code == 422
    assert "score_threshold has no meaning with the fusion dbsf" in refused.json()["detail"]
    assert with_bm25.search(QUESTION, mode="sparse").status_code == 422
    assert with_bm25.search(QUESTION, mode="bm25", score_threshold=99).json()["passages"] == []
    assert with_bm25.health()["status"] == "ready"


def test_bm25_is_asked_for_and_seen_when_it_is_added(qdrant: QdrantHTTPServer) -> None:
    app = create_app(settings(qdrant_url=qdrant.url))
    with serving(app) as served:
        assert served.http.get("/about").json()["modes"] == ["dense"]
        for _ in range(2):
            refused = served.search(QUESTION, mode="hybrid")
            assert refused.status_code == 422
            assert "rdr-qdrant index -c NAME --bm25" in refused.json()["detail"]
        assert served.health()["status"] == "ready"
        add_bm25(qdrant)
        until(lambda: served.http.get("/about").json()["modes"] == ["dense", "bm25", "hybrid"])
        assert served.search(QUESTION, mode="hybrid").json()["passages"][0]["id"] == "hostile"


def test_a_default_mode_that_needs_bm25_waits_for_it(qdrant: QdrantHTTPServer) -> None:
    app = create_app(settings(qdrant_url=qdrant.url, mode="hybrid", api_key="tomato"))
    with serving(app, ready=False, send_key=True) as served:
        until(lambda: "has no BM25" in str(served.health()["reason"]))
        assert f"rdr-qdrant index -c {COLLECTION} --bm25" in served.health()["reason"]
        assert served.search(QUESTION).status_code == 503
        add_bm25(qdrant)
        served.until_ready()
        assert served.health()["mode"] == "hybrid"
        assert served.search(QUESTION).json()["mode"] == "hybrid"
        assert served.http.get("/about", headers={"X-API-Key": ""}).json()["modes"] == []


def test_the_page_offers_the_modes(browser: WebDriver, with_bm25: Served) -> None:
    browser.get(with_bm25.url)
    wait(browser, lambda: one(browser, "#mode").is_displayed())
    assert not one(browser, "#add-bm25").is_displayed()
    check_accessible(browser)
    Select(one(browser, "#mode")).select_by_visible_text("both")
    ask(browser, QUESTION)
    answered(browser)
    assert "mode=hybrid" in browser.current_url
    assert "normalised" in one(browser, "#passage-1 .score").get_attribute("title")
    Select(one(browser, "#mode")).select_by_visible_text("words")
    wait(browser, lambda: "mode=bm25" in browser.current_url)
    answered(browser)
    assert "BM25" in browser.find_element(By.CSS_SELECTOR, ".score").get_attribute("title")
    browser.back()
    answered(browser)
    assert one(browser, "#mode").get_attribute("value") == "hybrid"
    Select(one(browser, "#mode")).select_by_visible_text("meaning")
    wait(browser, lambda: "mode=" not in browser.current_url)
    answered(browser)


def test_the_page_says_how_to_add_bm25(browser: WebDriver, backend: Served) -> None:
    browser.get(backend.url)
    wait(browser, lambda: one(browser, "#add-bm25").is_displayed())
    assert one(browser, "#add-bm25 code").text == f"rdr-qdrant index -c {COLLECTION} --bm25"
    assert not one(browser, "#mode").is_displayed()
    check_accessible(browser)
    browser.get(f"{backend.url}/?q=Where+is+it%3F&mode=bm25")
    wait(browser, lambda: "has no BM25" in one(browser, "#problem p").text)
    assert not one(browser, "#add-bm25").is_displayed()
