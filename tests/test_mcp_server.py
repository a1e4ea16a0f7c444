"""The tool that an MCP server gives to agents, as its client sees it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from mcp import Client
from qdrant_client import QdrantClient

from rdr_qdrant import Passage, QdrantLoader, RDREmbeddings, connect
from rdr_qdrant.collection import CollectionSettings, UntypedValue
from rdr_qdrant.errors import CollectionError, UsageError
from rdr_qdrant.mcp_server import make_mcp_server
from rdr_qdrant.searcher import PassageSearcher
from tests.conftest import COLLECTION

PASSAGES = [
    Passage(str(n), f"the river {word}", f"Title {n}", {"year": 1900 + n, "tenant": "ab"[n % 2]})
    for n, word in enumerate(("king", "city", "people", "music", "water", "house"))
]


@pytest.fixture(scope="module")
def client(tiny: RDREmbeddings) -> Iterator[QdrantClient]:
    with closing(connect(path=":memory:")) as client:
        settings = CollectionSettings(bm25="english")
        loader = QdrantLoader(
            embeddings=tiny,
            client=client,
            collection_name=COLLECTION,
            collection_settings=settings,
        )
        loader.load(PASSAGES)
        loader = QdrantLoader(embeddings=tiny, client=client, collection_name=f"{COLLECTION}-dense")
        loader.load(PASSAGES)
        yield client


@pytest.fixture
def searcher(tiny: RDREmbeddings, client: QdrantClient) -> PassageSearcher:
    return PassageSearcher(tiny, client, COLLECTION)


def ids(result: Any) -> list[str]:
    assert not result.is_error, result.content
    return [one["id"] for one in result.structured_content["result"]]


async def test_it_finds_what_the_searcher_finds(searcher: PassageSearcher) -> None:
    [hits] = searcher.search(["who is the king?"], k=3)
    async with Client(make_mcp_server(searcher, {"k": 3})) as agent:
        [tool] = (await agent.list_tools()).tools
        assert tool.name == "search"
        assert COLLECTION in (tool.description or "")
        assert tool.annotations
        assert tool.annotations.read_only_hint
        assert tool.input_schema["required"] == ["question"]
        assert tool.input_schema["additionalProperties"] is False
        found = await agent.call_tool("search", {"question": "who is the king?"})
        assert found.structured_content == {"result": [hit.to_json() for hit in hits]}
        assert len(ids(await agent.call_tool("search", {"question": "king", "k": 1}))) == 1


@pytest.mark.parametrize("mode", ["bm25", "hybrid"])
async def test_the_modes(searcher: PassageSearcher, mode: Any) -> None:
    async with Client(make_mcp_server(searcher, {"k": 1, "mode": mode})) as agent:
        assert ids(await agent.call_tool("search", {"question": "music"})) == ["3"]


async def test_conditions_hold_whatever_the_agent_asks_for(searcher: PassageSearcher) -> None:
    server = make_mcp_server(searcher, {"k": 9}, {"tenant": UntypedValue("a")})
    async with Client(server) as agent:

        async def found(**filter: Any) -> set[str]:
            arguments = {"question": "river", "filter": filter}
            return set(ids(await agent.call_tool("search", arguments)))

        assert await found() == {"0", "2", "4"}
        assert await found(tenant="a") == {"0", "2", "4"}
        assert await found(tenant="b") == set()
        assert await found(year=1902) == await found(year="1902") == {"2"}
        assert await found(year=1901) == await found(year=1902, tenant="b") == set()


async def test_metadata_of_passages_that_it_may_not_see_is_not_named(
    searcher: PassageSearcher,
) -> None:
    server = make_mcp_server(searcher, {"k": 9}, {"tenant": UntypedValue("a")})
    async with Client(server) as agent:
        arguments = {"question": "river", "filter": {"yaer": 1901}}
        assert ids(await agent.call_tool("search", arguments)) == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"question": " "}, "The question is empty"),
        ({"question": "river", "k": 0}, "greater than or equal to 1"),
        ({"question": "river", "k": 101}, "less than or equal to 100"),
        ({"question": "river", "limit": 3}, "limit\\n  Extra inputs are not permitted"),
        ({"question": "river", "filter": {"yaer": 1901}}, "'yaer'. There are: id, tenant, title"),
        ({}, "question"),
    ],
)
async def test_an_error_is_the_tools_answer(
    searcher: PassageSearcher, arguments: dict[str, Any], reason: str
) -> None:
    async with Client(make_mcp_server(searcher, {"k": 5})) as agent:
        result = await agent.call_tool("search", arguments)
        assert result.is_error
        assert reason in str(result.content)
        assert len(ids(await agent.call_tool("search", {"question": "river"}))) == 5


async def test_an_error_of_qdrant_is_one_line(tiny: RDREmbeddings) -> None:
    with closing(connect(path=":memory:")) as client:
        name = f"{COLLECTION}-gone"
        QdrantLoader(embeddings=tiny, client=client, collection_name=name).load(PASSAGES)
        server = make_mcp_server(PassageSearcher(tiny, client, name), {"k": 5})
        client.delete_collection(name)
        async with Client(server) as agent:
            result = await agent.call_tool("search", {"question": "river"})
    assert result.is_error
    [content] = result.content
    assert name in content.text
    assert "\n" not in content.text
    assert "Traceback" not in content.text


def test_a_collection_that_does_not_fit_is_refused_at_once(
    tiny: RDREmbeddings, other: RDREmbeddings, client: QdrantClient
) -> None:
    with pytest.raises(CollectionError, match="No collection 'none'"):
        make_mcp_server(PassageSearcher(tiny, client, "none"), {"k": 5})
    with pytest.raises(CollectionError, match="other encoders|another pair|probe|made"):
        make_mcp_server(PassageSearcher(other, client, COLLECTION), {"k": 5})
    dense = PassageSearcher(tiny, client, f"{COLLECTION}-dense")
    with pytest.raises(CollectionError, match="has no BM25"):
        make_mcp_server(dense, {"k": 5, "mode": "bm25"})


def test_more_passages_than_an_agent_may_ask_for_are_refused(searcher: PassageSearcher) -> None:
    with pytest.raises(UsageError, match="k is 101: .* from 1 to 100"):
        make_mcp_server(searcher, {"k": 101})


def test_without_the_extra_it_says_how_to_install_it(
    searcher: PassageSearcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    with pytest.raises(UsageError, match=r"needs the extra mcp: pip install"):
        make_mcp_server(searcher, {"k": 5})
