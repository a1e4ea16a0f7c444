from __future__ import annotations

from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from rdr_qdrant import EmbeddedQdrant, connect, connect_async
from rdr_qdrant.collection import Collection
from rdr_qdrant.embedded.folder_lock import FolderLock
from rdr_qdrant.errors import StoreError, UsageError
from tests.support.faults import Status
from tests.support.qdrant_http_server import QdrantHTTPServer

PARAMS = models.VectorParams(size=2, distance=models.Distance.DOT)


def test_a_url_is_a_server() -> None:
    with QdrantHTTPServer() as server:
        client = connect(url=server.url)
        assert isinstance(client, QdrantClient)
        assert client.get_collections().collections == []
        client.close()


def test_without_arguments_the_environment_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with QdrantHTTPServer() as server:
        monkeypatch.setenv("QDRANT_URL", server.url)
        connect().close()
        assert sum(server.requests.values()) > 0


def test_without_arguments_or_environment_the_default_folder_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QDRANT_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    client = connect()
    assert isinstance(client, EmbeddedQdrant)
    assert not (tmp_path / "qdrant_data").exists()
    client.create_collection("c", vectors_config=PARAMS)
    assert (tmp_path / "qdrant_data").is_dir()
    client.close()


def test_a_path_overrides_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_server_that_does_not_answer_is_reported_on_one_line() -> None:
    with pytest.raises(StoreError, match=r"http://127\.0\.0\.1:9 does not answer") as error:
        connect(url="http://127.0.0.1:9")
    assert "\n" not in str(error.value)


def test_the_servers_message_is_reported() -> None:
    with QdrantHTTPServer() as server:
        body = '{"status": {"error": "Service internal error: disk full"}, "time": 0}'
        server.inject(Status(500, body=body), match="GET /collections")
        with pytest.raises(StoreError, match=r"\(500\): Service internal error: disk full"):
            connect(url=server.url)


@pytest.mark.parametrize("url", ["localhost:6333", "ftp://x", "http://[bad"])
def test_an_invalid_url_is_wrong_usage(url: str) -> None:
    with pytest.raises(UsageError, match="no URL of a server"):
        connect(url=url)


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file, not a folder"):
        connect(path=tmp_path / "file")


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    (tmp_path / "embedded.json").write_text("{}")
    (tmp_path / ".embedded.lock").write_text("1")
    with pytest.raises(StoreError, match="in use by process 1;"):
        connect(path=tmp_path)
    lock.release()


def test_in_memory_is_the_local_mode_of_qdrant_client(tmp_path: Path) -> None:
    client = connect(path=":memory:")
    assert not isinstance(client, EmbeddedQdrant)
    client.close()


def test_a_local_mode_folder_is_refused_with_the_copy_command(tmp_path: Path) -> None:
    QdrantClient(path=str(tmp_path)).close()
    with pytest.raises(StoreError, match="rdr-qdrant copy --from"):
        connect(path=tmp_path)


async def test_async_of_a_folder_and_of_a_server(tmp_path: Path) -> None:
    with QdrantHTTPServer() as server:
        for place in ({"path": tmp_path / "data"}, {"url": server.url}, {"path": ":memory:"}):
            client = await connect_async(**place)
            assert isinstance(client, AsyncQdrantClient)
            await client.create_collection("c", vectors_config=PARAMS)
            await client.upsert("c", [models.PointStruct(id=1, vector=[1.0, 0.0])])
            assert (await client.count("c")).count == 1
            await client.close()
    with pytest.raises(StoreError, match="does not answer"):
        await connect_async(url="http://127.0.0.1:9")


def test_a_failure_of_a_client_that_prefers_grpc_is_reported_on_one_line() -> None:
    with QdrantHTTPServer() as server:
        client = QdrantClient(
            url=server.url, grpc_port=1, prefer_grpc=True, check_compatibility=False
        )
        with pytest.raises(StoreError, match="failed over gRPC") as caught:
            Collection(client, "c").exists()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["http://localhost:6333", "grpc://host:6334", "https:/host", ""])
def test_a_path_that_is_no_folder_is_refused(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="pass it as url=|name a folder"):
        connect(path=path)
    assert list(tmp_path.iterdir()) == []


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    client = connect(path="~/q")
    params = models.VectorParams(size=2, distance=models.Distance.DOT)
    client.create_collection("c", vectors_config=params)
    client.close()
    assert (tmp_path / "q").is_dir()
