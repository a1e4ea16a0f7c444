"""Clients learn nothing of the server's folders and collections; typos in settings are refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from examples.rag_backend.__main__ import main
from examples.rag_backend.app import create_app
from examples.rag_backend.schemas import _without_folders
from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from tests.rag_backend.conftest import COLLECTION, settings
from tests.rag_backend.serving import Served, serving, until

QUESTION = "Which river passes through ten countries?"
GETS = ("/", "/about", "/docs", "/healthz", "/livez", "/metrics", "/openapi.json", "/nothing")


def everything_without_key(served: Served) -> str:
    """All that a client gets that has no key."""
    with httpx.Client(base_url=served.url, timeout=60) as http:
        answers = [http.get(path) for path in GETS]
        answers += [http.post(path, json={"question": QUESTION}) for path in ("/search", "/ask")]
        return "\n".join(f"{answer.headers} {answer.text}" for answer in answers)


@pytest.fixture
def private_folder(tmp_path: Path, demo: RDREmbeddings) -> Path:
    """An embedded Qdrant with a collection other than the one asked for."""
    folder = tmp_path / "very-private" / "qdrant_data"
    client = connect(path=folder)
    other = QdrantLoader(embeddings=demo, client=client, collection_name="salaries")
    other.load([Passage("1", "The river touches ten countries.", "Danube")])
    client.close()
    return folder


@pytest.mark.parametrize("api_key", ["tomato", None])
def test_nothing_names_folders_or_collections(private_folder: Path, api_key: str | None) -> None:
    app = create_app(settings(qdrant_path=private_folder, api_key=api_key))
    with serving(app, ready=False, send_key=True) as served:
        until(lambda: "No collection" in str(app.state.retrieval.reason))
        seen = everything_without_key(served)
        for secret in ("very-private", "salaries"):
            assert secret not in seen
        assert json.loads(httpx.get(f"{served.url}/healthz").text) == {"status": "not ready"}
        for path in ("/search", "/ask"):
            refused = served.http.post(path, json={"question": QUESTION})
            assert refused.status_code == 503
            assert "very-private" not in refused.text
            assert "log has details" in refused.json()["detail"]
        if api_key:
            assert COLLECTION not in seen
            assert "very-private" in served.health()["reason"]
            assert served.health()["collection"] == COLLECTION
            assert served.http.get("/about").json()["collection"] == COLLECTION


def test_sources_are_shown_without_their_folders(tmp_path: Path, demo: RDREmbeddings) -> None:
    client = connect(path=tmp_path / "q")
    metadata = {"source": str(tmp_path / "very-private" / "rivers.tsv"), "place": "/shelf/7"}
    loader = QdrantLoader(embeddings=demo, client=client, collection_name=COLLECTION)
    loader.load([Passage("1", "The river touches ten countries.", "Danube", metadata)])
    client.close()
    with serving(create_app(settings(qdrant_path=tmp_path / "q"))) as served:
        [found] = served.search(QUESTION).json()["passages"]
        assert found["metadata"] == {"source": "rivers.tsv", "place": "/shelf/7"}
        assert str(tmp_path) not in json.dumps(served.ask(QUESTION))


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("source", "/srv/data/a.tsv", "a.tsv"),
        ("source", "file:///srv/data/a.tsv", "a.tsv"),
        ("source", "C:\\data\\a.tsv", "a.tsv"),
        ("source", "\\\\host\\share\\data\\a.tsv", "a.tsv"),
        ("file_path", "/srv/data/a.pdf", "a.pdf"),
        ("source", "data/a.tsv", "data/a.tsv"),
        ("source", "https://example.org/a.tsv", "https://example.org/a.tsv"),
        ("source", 7, 7),
        ("topic", "/srv/data/a.tsv", "/srv/data/a.tsv"),
    ],
)
def test_absolute_paths_become_file_names(key: str, value: Any, shown: Any) -> None:
    assert _without_folders(key, value) == shown


def test_a_wrong_key_and_no_key_get_different_messages(tmp_path: Path) -> None:
    app = create_app(settings(qdrant_path=tmp_path / "none", api_key="tomato"))
    with serving(app, ready=False) as served:
        for path in ("/search", "/ask", "/metrics"):
            method = "GET" if path == "/metrics" else "POST"
            wrong: list[dict[str, str]] = [{"X-API-Key": "x"}, {"Authorization": "Bearer x"}]
            for headers in ({}, {"X-API-Key": ""}, *wrong):
                body = {"question": QUESTION}
                refused = served.http.request(method, path, json=body, headers=headers)
                assert refused.status_code == 401
                expected = "The API key is wrong" if headers in wrong else "needs an API key"
                assert expected in refused.json()["detail"]
                assert ("invalid_token" in refused.headers["www-authenticate"]) == (
                    headers in wrong
                )
        assert served.http.get("/healthz", headers={"X-API-Key": "x"}).json() == {
            "status": "not ready"
        }


def test_an_invalid_filter_is_the_clients_error_and_changes_nothing(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rdr_qdrant.errors import UsageError

    with serving(create_app(settings(qdrant_path=own_folder, watch_seconds=1000))) as served:

        def refuse(*given: object, **named: object) -> None:
            raise UsageError("The filter wants something impossible.")

        with monkeypatch.context() as patched:
            patched.setattr("rdr_qdrant.searcher.PassageSearcher.asearch", refuse)
            refused = served.search(QUESTION)
        assert refused.status_code == 422
        assert refused.json()["detail"] == "The filter wants something impossible."
        assert served.health()["status"] == "ready"


# Settings


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("RAG_COLECTION", "did you mean RAG_COLLECTION?"),
        ("rag_api_kee", "did you mean RAG_API_KEY?"),
        ("RAG_TOMATO", "settings.py"),
        ("RAG_", "settings.py"),
    ],
)
def test_an_unknown_setting_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    monkeypatch.setenv(name, "secret-value")
    with pytest.raises(ValidationError) as raised:
        settings()
    assert f"unknown setting {name}" in str(raised.value)
    assert hint in str(raised.value)
    assert "secret-value" not in str(raised.value)


def test_known_settings_in_lower_case_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("rag_k", "7")
    assert settings().k == 7


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RAG_COLECTION", "wiki", "Error: unknown setting RAG_COLECTION; did you mean"),
        ("RAG_HOST", "0.0.0.0", "Error: RAG_HOST=0.0.0.0 is open to the network"),
        ("RAG_EXAMPLES", "not JSON", "Error: RAG_EXAMPLES: "),
        ("RAG_TRUSTED_PROXIES", "*", "Error: RAG_TRUSTED_PROXIES: "),
    ],
)
def test_the_program_refuses_settings_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    message: str,
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["rag_backend"])
    assert main() == 2
    said = capsys.readouterr().err
    assert said.startswith(message)
    assert said.count("\n") == 1
