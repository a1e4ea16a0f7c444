from __future__ import annotations

from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from rdr_qdrant import connect
from rdr_qdrant.errors import StoreError, UsageError
from tests.support.faults import Status
from tests.support.qdrant_http_server import QdrantHTTPServer


def test_a_url_is_a_server() -> None:
    with QdrantHTTPServer() as server:
        client = connect(url=server.url)
        assert isinstance(client, QdrantClient)
        assert client.get_collections().collections == []
        client.close()


def test_with_neither_the_environment_says_which_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with QdrantHTTPServer() as server:
        monkeypatch.setenv("QDRANT_URL", server.url)
        connect().close()
        assert sum(server.requests.values()) > 0


def test_with_nothing_said_it_is_a_folder_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QDRANT_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    connect().close()
    assert (tmp_path / "qdrant_data").is_dir()


def test_a_path_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QDRANT_URL", "http://127.0.0.1:9")
    connect(path=tmp_path / "data").close()


def test_the_key_comes_from_the_environment_and_stays_out_of_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with QdrantHTTPServer(api_key="s3cret") as server:
        monkeypatch.setenv("QDRANT_API_KEY", "s3cret")
        client = connect(url=server.url)
        assert "s3cret" not in repr(client)
        client.close()
        monkeypatch.setenv("QDRANT_API_KEY", "wr0ng")
        with pytest.raises(StoreError, match="refused the API key") as error:
            connect(url=server.url)
        assert "wr0ng" not in str(error.value)


def test_a_server_that_does_not_answer_is_one_line() -> None:
    with pytest.raises(StoreError, match=r"http://127\.0\.0\.1:9 does not answer") as error:
        connect(url="http://127.0.0.1:9")
    assert "\n" not in str(error.value)


def test_the_servers_own_reason_is_told() -> None:
    with QdrantHTTPServer() as server:
        body = '{"status": {"error": "Service internal error: disk full"}, "time": 0}'
        server.inject(Status(500, body=body), match="GET /collections")
        with pytest.raises(StoreError, match=r"\(500\): Service internal error: disk full"):
            connect(url=server.url)


@pytest.mark.parametrize("url", ["localhost:6333", "ftp://x", "http://[bad"])
def test_a_url_that_is_none_is_wrong_usage(url: str) -> None:
    with pytest.raises(UsageError, match="no URL of a server"):
        connect(url=url)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file, not a folder"):
        connect(path=tmp_path / "file")


def test_a_folder_in_use_is_told(tmp_path: Path) -> None:
    client = connect(path=tmp_path / "data")
    with pytest.raises(StoreError, match="open in another process"):
        connect(path=tmp_path / "data")
    client.close()
