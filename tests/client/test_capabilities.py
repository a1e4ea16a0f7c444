"""One value says how a client is used, whatever it is a client of."""

import ast
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models

import rdr_qdrant
from rdr_qdrant.client import (
    Capabilities,
    build_index,
    capabilities,
    connect,
    connect_async,
    disk_bytes,
    location_of,
    server_version,
)
from tests.support.qdrant_http_server import QdrantHTTPServer

PARAMS = models.VectorParams(size=2, distance=models.Distance.DOT)


async def test_sync_and_async_clients_of_one_kind_have_the_same(tmp_path: Path) -> None:
    with QdrantHTTPServer() as server:
        for where in ({"url": server.url}, {"path": tmp_path / "data"}, {"path": ":memory:"}):
            with_sync = connect(**where)
            expected = capabilities(with_sync)
            assert isinstance(expected, Capabilities)
            with_sync.close()
            with_async = await connect_async(**where)
            assert capabilities(with_async) == expected
            await with_async.close()


def test_a_server(tmp_path: Path) -> None:
    with QdrantHTTPServer() as server:
        client = connect(url=server.url)
        found = capabilities(client)
        assert (found.takes_arrays, found.write_streams) == (False, 4)
        assert found.indexes_in_background
        assert found.supports_clustering
        client.create_collection("c", vectors_config=PARAMS)
        assert not build_index(client, "c")
        assert disk_bytes(client, "c") is None
        assert server_version(client) is not None
        assert location_of(client) == server.url
        client.close()


def test_an_embedded_folder(tmp_path: Path) -> None:
    with connect(path=tmp_path / "data") as client:
        found = capabilities(client)
        assert (found.takes_arrays, found.write_streams) == (True, 1)
        assert found.builds_index_on_request
        assert not found.indexes_in_background
        assert not found.supports_clustering
        assert location_of(client).endswith("data (which does not exist)")
        client.create_collection("c", vectors_config=PARAMS)
        assert not build_index(client, "c")  # does not pay
        assert disk_bytes(client, "c")
        assert server_version(client) is None
        assert location_of(client) == f"the folder {tmp_path / 'data'}"


def test_the_local_mode_of_qdrant_client() -> None:
    client = QdrantClient(":memory:")
    found = capabilities(client)
    assert (found.takes_arrays, found.write_streams) == (False, 0)
    assert not found.indexes_in_background
    assert not found.builds_index_on_request
    client.close()


@pytest.mark.parametrize("kind", [QdrantClient, AsyncQdrantClient])
def test_the_address_is_known_however_it_was_given(kind: type) -> None:
    for given in ({"url": "http://h:1"}, {"location": "http://h:1"}, {"host": "h", "port": 1}):
        assert location_of(kind(**given, check_compatibility=False)) == "http://h:1"


def test_nobody_asks_for_the_kind_of_a_client() -> None:
    """No `isinstance(..., EmbeddedQdrant)` and no private attribute of a client in the package."""
    root = Path(rdr_qdrant.__file__).parent
    for module in root.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
                assert "EmbeddedQdrant" not in {
                    getattr(part, "id", "") for part in ast.walk(node.args[1])
                }, module
            if isinstance(node, ast.Constant):
                assert node.value != "rest_uri", module
